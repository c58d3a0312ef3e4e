//! The tests of the chat's rooms, which stand beside the code; examples run none of their own.
#![allow(dead_code, reason = "the program uses what these tests don't")]

#[path = "../chat/messages.rs"]
mod messages;
#[path = "../chat/rooms.rs"]
mod rooms;
