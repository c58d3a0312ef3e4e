//! Session Description Protocol text to types and back, with the attributes of WebRTC.
