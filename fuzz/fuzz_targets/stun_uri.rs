//! A URI that is read is written to the same value; a user name or password has one form, and that is its own form.
#![no_main]

use antiphon_crypto::Provider;
use antiphon_fuzz::allocating;
use antiphon_stun::{Credential, PasswordAlgorithm, SecurityFeatures, Uri, opaque_string};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = allocating(text.len(), || text.parse::<Uri>()) {
        let written = uri.to_string();
        assert_eq!(written.parse::<Uri>().as_ref(), Ok(&uri));
        assert_eq!(written.parse::<Uri>().unwrap().to_string(), written);
    }
    if let Some(features) = SecurityFeatures::of_nonce(text) {
        assert_eq!(SecurityFeatures::of_nonce(&features.cookie()), Some(features));
    }
    let Ok(form) = allocating(32 * text.len() + 256, || opaque_string(text)) else { return };
    assert_eq!(opaque_string(&form).as_deref(), Ok(&*form));
    if let Ok(credential) = Credential::new(text, "password") {
        let provider = Provider::default();
        assert!(credential.long_term_keys(provider, text, PasswordAlgorithm::MD5).is_some());
        assert_eq!(credential.userhash(provider, text).len(), 32);
    }
});
