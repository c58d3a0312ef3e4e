//! The messages that the client sends.

use antiphon::{Bytes, Message};
use rand::RngExt;
use rand::rngs::StdRng;

/// The largest message of the default set, and what every browser takes.
const LARGEST: usize = 256 * 1024;
/// The largest of random messages: more of these in less time.
const LARGEST_RANDOM: usize = 32 * 1024;

/// Which messages to send; many of all sizes where none is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Sends this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// Sends a binary message of so many bytes; may be repeated
    #[arg(long, value_name = "BYTES")]
    binary: Vec<usize>,
    /// Sends an empty text message
    #[arg(long)]
    empty_text: bool,
    /// Sends an empty binary message
    #[arg(long)]
    empty_binary: bool,
    /// Sends so many messages of random kind, size and content
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) random: usize,
}

impl Wanted {
    /// The messages, none over `largest` bytes but those whose size was given.
    pub(crate) fn messages(&self, largest: usize, random: &mut StdRng) -> Vec<Message> {
        let mut messages: Vec<Message> = self.text.iter().cloned().map(Message::from).collect();
        messages.extend(self.binary.iter().map(|&size| binary(size, random)));
        if self.empty_text {
            messages.push(Message::from(String::new()));
        }
        if self.empty_binary {
            messages.push(Message::from(Bytes::new()));
        }
        messages.extend((0..self.random).map(|_| {
            let size = random.random_range(0..=LARGEST_RANDOM.min(largest));
            if random.random() { binary(size, random) } else { text(size, random) }
        }));
        if messages.is_empty() {
            messages.extend(
                ["", "a", "Ein grüner Gruß", "мир, 世界, سلام", "🎶 call and response 🎶"].map(Message::from),
            );
            messages.push(text(10_000.min(largest), random));
            // Around what fits into a packet, what usual implementations read at once, and the negotiated end.
            let sizes = [0, 1, 2, 15, 16, 1_100, 1_200, 1_300, 16_384, 65_535, 65_536, LARGEST, largest];
            let mut sizes: Vec<usize> =
                sizes.into_iter().filter(|&size| size <= largest.min(LARGEST)).collect();
            sizes.dedup();
            messages.extend(sizes.into_iter().map(|size| binary(size, random)));
        }
        messages
    }
}

/// A binary message in which no part is like another.
fn binary(size: usize, random: &mut StdRng) -> Message {
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    Message::from(Bytes::from(bytes))
}

/// A text of `size` bytes of UTF-8 with characters of every length.
fn text(size: usize, random: &mut StdRng) -> Message {
    let mut text = String::with_capacity(size);
    while text.len() < size {
        let character: char = random.random();
        text.push(if text.len() + character.len_utf8() <= size { character } else { '.' });
    }
    Message::from(text)
}

/// Kind and size.
pub(crate) fn describe(message: &Message) -> String {
    let kind = match message {
        Message::Text(_) => "text",
        Message::Binary(_) => "binary",
    };
    format!("{kind} of {} bytes", message.len())
}
