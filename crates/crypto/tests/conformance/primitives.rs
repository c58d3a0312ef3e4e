//! What the backends have to agree upon, and each by itself.

use antiphon_crypto::{
    AeadAlgorithm, Certificate, CertificateError, ExhaustedError, Group, HashAlgorithm, KeyKind,
    PeerCertificate, PeerCertificateError, Provider, SignatureScheme,
};

use crate::providers;

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
            }
        }
    }
}

#[test]
fn both_ends_agree_upon_the_same_secret_across_backends() {
    let [one, other] = providers();
    for group in Group::ALL {
        let (ours, theirs) = (one.key_agreement(group).unwrap(), other.key_agreement(group).unwrap());
        let (our_value, their_value) = (ours.public_value().to_vec(), theirs.public_value().to_vec());
        assert_ne!(our_value, their_value);
        let secret = ours.agree(&their_value).unwrap();
        assert_eq!(*secret, *theirs.agree(&our_value).unwrap());
        assert!(secret.len() >= 32);
    }
}

#[test]
fn malformed_public_values_are_refused() {
    for provider in providers() {
        for group in Group::ALL {
            let valid = provider.key_agreement(group).unwrap().public_value().to_vec();
            for len in 0..valid.len() {
                assert!(provider.key_agreement(group).unwrap().agree(&valid[..len]).is_err());
            }
            assert!(provider.key_agreement(group).unwrap().agree(&[&valid[..], &[0]].concat()).is_err());
            assert!(provider.key_agreement(group).unwrap().agree(&vec![0; valid.len()]).is_err());
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
