//! The Wycheproof vectors: `valid` has to work, `invalid` has to be refused, `acceptable` may do either.

use antiphon_crypto::{
    AeadAlgorithm, Group, HashAlgorithm, HkdfKey, KeyKind, Provider, PublicKey, SignatureScheme,
};
use serde_json::Value;

use crate::{hex, providers};

/// Calls `check(group, test)` for each case; it says whether the case worked.
fn run(file: &str, mut check: impl FnMut(Provider, &Value, &Value) -> Option<bool>) {
    let Some(folder) = antiphon_testkit::corpus_folder("crypto/wycheproof") else { return };
    let vectors: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    for provider in providers() {
        let mut checked = 0;
        for group in vectors["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let Some(worked) = check(provider, group, test) else { continue };
                checked += 1;
                match test["result"].as_str().unwrap() {
                    "valid" => assert!(worked, "{provider:?} {file} {test}"),
                    "invalid" => assert!(!worked, "{provider:?} {file} {test}"),
                    _ => {}
                }
            }
        }
        println!("{file}: {checked} cases against {}", provider.name());
        assert!(checked > 10, "{file} has no case that applies");
    }
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex(value[name].as_str().unwrap())
}

fn aead_case(provider: Provider, algorithm: AeadAlgorithm, test: &Value) -> Option<bool> {
    let (key, aad, plain) = (bytes(test, "key"), bytes(test, "aad"), bytes(test, "msg"));
    let (cipher, tag) = (bytes(test, "ct"), bytes(test, "tag"));
    // Nonces of other lengths cannot be written in this interface.
    let base: [u8; 12] = bytes(test, "iv").try_into().ok()?;
    let mut data = [cipher.clone(), tag.clone()].concat();
    let opened = provider.opening_key(algorithm, &key, base).unwrap().open_in_place(0, &aad, &mut data)
        == Some(&mut plain.clone()[..]);
    let mut sealed = plain;
    let sealed_tag =
        provider.sealing_key(algorithm, &key, base, 0..1).unwrap().seal_in_place(&aad, &mut sealed).unwrap();
    let same = sealed == cipher && sealed_tag[..] == tag[..];
    assert_eq!(opened, same, "sealing and opening disagree: {test}");
    Some(opened)
}

#[test]
fn aes_gcm() {
    run("aes_gcm_test.json", |provider, group, test| {
        let algorithm = match group["keySize"].as_u64().unwrap() {
            128 => AeadAlgorithm::Aes128Gcm,
            256 => AeadAlgorithm::Aes256Gcm,
            _ => return None,
        };
        aead_case(provider, algorithm, test)
    });
}

#[test]
fn chacha20_poly1305() {
    run("chacha20_poly1305_test.json", |provider, _, test| {
        aead_case(provider, AeadAlgorithm::ChaCha20Poly1305, test)
    });
}

#[test]
fn hmac() {
    for (file, algorithm) in [
        ("hmac_sha1_test.json", HashAlgorithm::Sha1),
        ("hmac_sha256_test.json", HashAlgorithm::Sha256),
        ("hmac_sha384_test.json", HashAlgorithm::Sha384),
    ] {
        run(file, |provider, _, test| {
            let key = provider.hmac_key(algorithm, &bytes(test, "key"));
            Some(key.verify(&[&bytes(test, "msg")], &bytes(test, "tag")))
        });
    }
}

#[test]
fn hkdf() {
    for (file, algorithm) in
        [("hkdf_sha256_test.json", HashAlgorithm::Sha256), ("hkdf_sha384_test.json", HashAlgorithm::Sha384)]
    {
        run(file, |provider, _, test| {
            let secret = bytes(test, "ikm");
            let key = HkdfKey::extract(provider, algorithm, &bytes(test, "salt"), &secret);
            let mut out = vec![0; test["size"].as_u64().unwrap() as usize];
            let info = bytes(test, "info");
            Some(key.expand(&[&info], &mut out).is_ok() && out == bytes(test, "okm"))
        });
    }
}

#[test]
fn ecdsa() {
    for (file, kind, hash) in [
        ("ecdsa_secp256r1_sha256_test.json", KeyKind::EcdsaP256, HashAlgorithm::Sha256),
        ("ecdsa_secp384r1_sha384_test.json", KeyKind::EcdsaP384, HashAlgorithm::Sha384),
    ] {
        run(file, |provider, group, test| {
            let key = PublicKey::new(kind, &bytes(&group["publicKey"], "uncompressed"));
            let scheme = SignatureScheme::Ecdsa(hash);
            Some(provider.verify(&key, scheme, &bytes(test, "msg"), &bytes(test, "sig")))
        });
    }
}

#[test]
fn rsa_pkcs1() {
    run("rsa_signature_2048_sha256_test.json", |provider, group, test| {
        let key = PublicKey::new(KeyKind::Rsa, &bytes(group, "publicKeyAsn"));
        let scheme = SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256);
        Some(provider.verify(&key, scheme, &bytes(test, "msg"), &bytes(test, "sig")))
    });
}

/// Our private value is always fresh, so that the vectors' public values are tried, not their secrets: those of `valid`
/// cases have to be taken, invalid points have to be refused.
#[test]
fn public_values() {
    for (file, group) in [
        ("ecdh_secp256r1_ecpoint_test.json", Group::P256),
        ("ecdh_secp384r1_ecpoint_test.json", Group::P384),
        ("x25519_test.json", Group::X25519),
    ] {
        run(file, |provider, _, test| {
            let agreement = provider.key_agreement(group).unwrap();
            Some(agreement.agree(&bytes(test, "public")).is_ok())
        });
    }
}
