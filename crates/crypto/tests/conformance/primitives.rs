//! What the backends have to agree upon, and each by itself.

use antiphon_crypto::{
    AeadAlgorithm, Certificate, CertificateError, ExhaustedError, Group, HashAlgorithm, KeyKind,
    PeerCertificate, PeerCertificateError, Provider, SignatureScheme,
};

use crate::{hex, providers};

const AEADS: [AeadAlgorithm; 3] =
    [AeadAlgorithm::Aes128Gcm, AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305];

const FILES: [(&str, &str, KeyKind); 6] = [
    ("prime256v1-pkcs8.pem", include_str!("../data/prime256v1-pkcs8.pem"), KeyKind::EcdsaP256),
    ("prime256v1-sec1.pem", include_str!("../data/prime256v1-sec1.pem"), KeyKind::EcdsaP256),
    ("secp384r1-pkcs8.pem", include_str!("../data/secp384r1-pkcs8.pem"), KeyKind::EcdsaP384),
    ("secp384r1-sec1.pem", include_str!("../data/secp384r1-sec1.pem"), KeyKind::EcdsaP384),
    ("rsa-pkcs8.pem", include_str!("../data/rsa-pkcs8.pem"), KeyKind::Rsa),
    ("rsa-pkcs1.pem", include_str!("../data/rsa-pkcs1.pem"), KeyKind::Rsa),
];

#[test]
fn a_record_opens_in_the_other_backend_and_only_unchanged() {
    let [one, other] = providers();
    for algorithm in AEADS {
        let key = vec![7; algorithm.key_len()];
        let mut seal = one.sealing_key(algorithm, &key, [1; 12], 5..100).unwrap();
        let open = other.opening_key(algorithm, &key, [1; 12]).unwrap();
        assert_eq!(seal.next_number(), Ok(5));
        let mut data = b"attack at dawn".to_vec();
        let tag = seal.seal_in_place(b"aad", &mut data).unwrap();
        data.extend(tag);
        assert_eq!(open.open_in_place(5, b"aad", &mut data.clone()).as_deref(), Some(&b"attack at dawn"[..]));
        assert_eq!(open.open_in_place(6, b"aad", &mut data.clone()), None);
        assert_eq!(open.open_in_place(5, b"add", &mut data.clone()), None);
        assert_eq!(open.open_in_place(5, b"aad", &mut []), None);
        for bit in 0..data.len() * 8 {
            let mut changed = data.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open.open_in_place(5, b"aad", &mut changed), None);
        }
    }
}

#[test]
fn a_sealing_key_uses_each_number_once_and_then_refuses() {
    for provider in providers() {
        for algorithm in AEADS {
            let key = vec![7; algorithm.key_len()];
            let mut seal = provider.sealing_key(algorithm, &key, [0; 12], u64::MAX - 2..u64::MAX).unwrap();
            assert_eq!(seal.next_number(), Ok(u64::MAX - 2));
            let first = seal.seal_in_place(&[], &mut []).unwrap();
            assert_eq!(seal.next_number(), Ok(u64::MAX - 1));
            assert_ne!(seal.seal_in_place(&[], &mut []).unwrap(), first);
            let mut untouched = *b"secret";
            assert_eq!(seal.next_number(), Err(ExhaustedError));
            assert_eq!(seal.seal_in_place(&[], &mut untouched), Err(ExhaustedError));
            assert_eq!(&untouched, b"secret");
        }
    }
}

#[test]
fn keys_of_the_wrong_length_are_refused() {
    for provider in providers() {
        for algorithm in AEADS {
            for len in (0..64).filter(|len| *len != algorithm.key_len()) {
                assert!(provider.sealing_key(algorithm, &vec![0; len], [0; 12], 0..1).is_err());
                assert!(provider.opening_key(algorithm, &vec![0; len], [0; 12]).is_err());
                assert!(provider.mask_key(algorithm, &vec![0; len]).is_err());
            }
        }
    }
}

#[test]
fn both_ends_agree_upon_the_same_secret_across_backends() {
    for one in providers() {
        for other in providers() {
            for group in Group::ALL.into_iter().filter(|group| one.supports(*group) && other.supports(*group))
            {
                let ours = one.key_agreement(group).unwrap();
                let our_value = ours.public_value().to_vec();
                let (their_value, secret) = other.answer_key_agreement(group, &our_value).unwrap();
                assert_ne!(our_value, their_value);
                assert_eq!(*secret, *ours.agree(&their_value).unwrap());
                assert_eq!(secret.len(), if group.is_hybrid() { 64 } else { secret.len() }, "{group:?}");
                assert!(secret.len() >= 32);
            }
        }
    }
}

#[test]
fn a_group_that_a_backend_lacks_is_reported_as_not_offered() {
    let [aws_lc_rs, ring] = providers();
    assert!(Group::ALL.into_iter().all(|group| aws_lc_rs.supports(group)));
    for group in Group::ALL {
        assert_eq!(ring.supports(group), !group.is_hybrid());
        assert_eq!(ring.key_agreement(group).is_some(), !group.is_hybrid());
        let value = aws_lc_rs.key_agreement(group).unwrap().public_value().to_vec();
        assert_eq!(ring.answer_key_agreement(group, &value).is_ok(), !group.is_hybrid());
    }
}

#[test]
fn malformed_public_values_are_refused() {
    for provider in providers() {
        for group in Group::ALL.into_iter().filter(|group| provider.supports(*group)) {
            let begin = || provider.key_agreement(group).unwrap();
            let first = begin().public_value().to_vec();
            let (second, _) = provider.answer_key_agreement(group, &first).unwrap();
            for len in 0..first.len() {
                assert!(provider.answer_key_agreement(group, &first[..len]).is_err());
            }
            for len in (0..second.len()).step_by(if group.is_hybrid() { 61 } else { 1 }) {
                assert!(begin().agree(&second[..len]).is_err());
            }
            for changed in [[&first[..], &[0]].concat(), vec![0; first.len()]] {
                assert!(provider.answer_key_agreement(group, &changed).is_err());
            }
            for changed in [[&second[..], &[0]].concat(), vec![0; second.len()]] {
                assert!(begin().agree(&changed).is_err());
            }
        }
    }
}

#[test]
fn an_encapsulation_key_out_of_range_is_refused() {
    // FIPS 203 §7.2: each coefficient is below 3,329.
    let [provider, _] = providers();
    let mut value = provider.key_agreement(Group::X25519MlKem768).unwrap().public_value().to_vec();
    value[..3].copy_from_slice(&[0xff; 3]);
    assert!(provider.answer_key_agreement(Group::X25519MlKem768, &value).is_err());
}

/// Known answers of QUIC, which hides its packet numbers in the same way (RFC 9001 §A.2, §A.5), and of FIPS 197 §C.3.
#[test]
fn masks_give_the_known_answers() {
    for (algorithm, key, sample, mask) in [
        (
            AeadAlgorithm::Aes128Gcm,
            "9f50449e04a0e810283a1e9933adedd2",
            "d1b1c98dd7689fb8ec11d242b123dc9b",
            "437b9aec36",
        ),
        (
            AeadAlgorithm::ChaCha20Poly1305,
            "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
            "5e5cd55c41f69080575d7999c25a5bfb",
            "aefefe7d03",
        ),
        (
            AeadAlgorithm::Aes256Gcm,
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff",
            "8ea2b7ca51",
        ),
    ] {
        for provider in providers() {
            let key = provider.mask_key(algorithm, &hex(key)).unwrap();
            assert_eq!(key.mask(&hex(sample).try_into().unwrap())[..], hex(mask), "{algorithm:?}");
        }
    }
}

#[test]
fn hashes_give_the_known_answers() {
    for provider in providers() {
        let digest = |algorithm| format!("{:?}", provider.digest(algorithm, &[b"a", b"", b"bc"]));
        assert_eq!(digest(HashAlgorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            digest(HashAlgorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            digest(HashAlgorithm::Sha384).starts_with("cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163")
        );
        assert!(
            digest(HashAlgorithm::Sha512).starts_with("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2")
        );
        assert_ne!(provider.random_seed(), provider.random_seed());
    }
}

/// Signs with each scheme of `certificate` and verifies with each provider.
fn signs_what_verifies(certificate: &Certificate, name: &str) {
    let key = PeerCertificate::parse(certificate.der()).unwrap().public_key().clone();
    for scheme in SignatureScheme::ALL {
        let signature = certificate.sign(scheme, b"message");
        assert_eq!(
            signature.is_some(),
            certificate.signature_schemes().contains(&scheme),
            "{name} {scheme:?}"
        );
        let Some(signature) = signature else { continue };
        for provider in providers() {
            assert!(provider.verify(&key, scheme, b"message", &signature), "{name} {scheme:?}");
            assert!(!provider.verify(&key, scheme, b"massage", &signature));
            for other in SignatureScheme::ALL.into_iter().filter(|other| *other != scheme) {
                assert!(!provider.verify(&key, other, b"message", &signature));
            }
        }
    }
}

#[test]
fn a_generated_certificate_signs_and_is_read_back() {
    for provider in providers() {
        let certificate = Certificate::generate(provider).unwrap();
        signs_what_verifies(&certificate, "generated");
        assert_eq!(certificate.key_kind(), KeyKind::EcdsaP256);
        let read = PeerCertificate::parse(certificate.der()).unwrap();
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            let fingerprint = certificate.fingerprint(algorithm);
            assert_eq!(read.fingerprint(provider, algorithm), fingerprint);
            assert_eq!(fingerprint.as_bytes(), &*provider.digest(algorithm, &[certificate.der()]));
            assert_ne!(Certificate::generate(provider).unwrap().fingerprint(algorithm), fingerprint);
        }
    }
}

#[test]
fn keys_of_every_form_are_loaded() {
    for provider in providers() {
        for (name, pem, kind) in FILES {
            let certificate =
                Certificate::from_pem(provider, pem).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(certificate.key_kind(), kind, "{name}");
            signs_what_verifies(&certificate, name);
        }
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for provider in providers() {
        let error = |pem: &str| Certificate::from_pem(provider, pem).unwrap_err();
        let split = |pem: &'static str| pem.split_once("-----BEGIN PRIVATE").unwrap();
        let (p256, p256_key) = split(FILES[0].1);
        let (rsa, _) = split(FILES[4].1);
        let fresh = Certificate::generate(provider).unwrap();
        assert_eq!(error(p256), CertificateError::NoKey);
        assert_eq!(error(&format!("-----BEGIN PRIVATE{p256_key}")), CertificateError::NoCertificate);
        assert_eq!(error(&format!("{rsa}-----BEGIN PRIVATE{p256_key}")), CertificateError::UnsupportedKey);
        assert_eq!(
            error("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            CertificateError::Pem
        );
        assert_eq!(error(include_str!("../data/ed25519.pem")), CertificateError::UnsupportedKey);
        let der = |chain: Vec<Vec<u8>>| Certificate::from_der(provider, chain, b"key").unwrap_err();
        assert_eq!(der(vec![b"no certificate".to_vec()]), CertificateError::Malformed);
        assert_eq!(der(vec![fresh.der().to_vec()]), CertificateError::UnsupportedKey);
        let mismatch = format!("{}{}", FILES[1].1.split_once("-----BEGIN CERT").unwrap().0, pem(&fresh));
        assert_eq!(error(&mismatch), CertificateError::Mismatch);
    }
}

/// The certificate as PEM text.
fn pem(certificate: &Certificate) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in certificate.der().chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn a_certificate_cut_anywhere_or_followed_by_bytes_is_refused() {
    let certificate = Certificate::generate(Provider::default()).unwrap();
    let der = certificate.der();
    for len in 0..der.len() {
        assert_eq!(PeerCertificate::parse(&der[..len]).unwrap_err(), PeerCertificateError::Malformed);
    }
    assert_eq!(PeerCertificate::parse(&[der, &[0]].concat()).unwrap_err(), PeerCertificateError::Malformed);
}

#[test]
fn malformed_certificates_do_not_panic() {
    let Some(folder) = antiphon_testkit::corpus_folder("x509") else { return };
    let mut pending = vec![folder];
    let mut read = 0;
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            read += 1;
            if let Ok(certificate) = PeerCertificate::parse(&std::fs::read(path).unwrap()) {
                for provider in providers() {
                    for scheme in SignatureScheme::ALL {
                        assert!(!provider.verify(certificate.public_key(), scheme, b"message", b"signature"));
                    }
                }
            }
        }
    }
    println!("{read} certificates");
    assert!(read > 100);
}

#[test]
fn rsa_keys_of_absurd_size_are_refused() {
    for bits in [1_024, 16_384, 262_144] {
        let len = bits / 8;
        let modulus = [&[0x00][..], &vec![0xff; len]].concat();
        let integer = [&[0x02, 0x82][..], &(modulus.len() as u16).to_be_bytes(), &modulus].concat();
        let body = [&integer[..], &[0x02, 3, 1, 0, 1]].concat();
        let der = [&[0x30, 0x82][..], &(body.len() as u16).to_be_bytes(), &body].concat();
        let key = antiphon_crypto::PublicKey::new(KeyKind::Rsa, &der);
        for provider in providers() {
            for scheme in SignatureScheme::ALL {
                assert!(!provider.verify(&key, scheme, b"message", &vec![1; len]), "{bits}");
            }
        }
    }
}
