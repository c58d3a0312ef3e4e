//! A message of the data channel establishment protocol that is read is written to the same value.
#![no_main]

use antiphon_peer::dcep::DcepMessage;
use antiphon_util::{Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = DcepMessage::parse(&mut Reader::new(bytes)) else { return };
    let mut written = Vec::new();
    message.write(&mut Writer::new(&mut written));
    let again = DcepMessage::parse(&mut Reader::new(&written)).unwrap();
    // Mended text may be longer than its length can say.
    if written.len() < 65_535 {
        assert_eq!(again, message);
    }
});
