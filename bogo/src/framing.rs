//! The runner's frames: datagrams and orders over a stream (`packet_adapter.go`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::time::Duration;

/// Bytes of the longest datagram taken.
const MAX_DATAGRAM: u32 = 1 << 17;

const PACKET: u8 = b'P';
const TIMEOUT: u8 = b'T';
const TIMEOUT_ACK: u8 = b't';
const MTU: u8 = b'M';
const EXPECT_TIMEOUT: u8 = b'E';
const UPDATE_TIMEOUT: u8 = b'U';

/// What the runner sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A datagram.
    Datagram(Vec<u8>),
    /// So much time passes without a datagram.
    Timeout(Duration),
    /// Datagrams of ours have at most so many bytes from now on.
    Mtu(u32),
    /// We have to want to be woken after so much time, or not at all.
    ExpectTimeout(Option<Duration>),
    /// The first retransmission timer is to be this.
    InitialTimeout(Duration),
}

/// The connection to the runner.
#[derive(Debug)]
pub(crate) struct Runner<S>(S);

impl Runner<TcpStream> {
    pub(crate) fn connect(port: u16, is_ipv6: bool, shim_id: u64) -> io::Result<Self> {
        let address: IpAddr = if is_ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        let mut stream = TcpStream::connect((address, port))?;
        stream.set_nodelay(true)?;
        stream.write_all(&shim_id.to_le_bytes())?;
        Ok(Self(stream))
    }

    /// Says that nothing more comes, and waits for the runner to say the same: what it still sends must not reset the
    /// connection and take our last words away.
    pub(crate) fn finish(mut self) {
        let drained = self.0.shutdown(Shutdown::Write).and_then(|()| io::copy(&mut self.0, &mut io::sink()));
        drop(drained);
    }
}

impl<S: Read + Write> Runner<S> {
    /// The next frame; `None` where the runner has hung up.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Frame>> {
        let opcode = match self.array() {
            Ok([opcode]) => opcode,
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let frame = match opcode {
            PACKET => Frame::Datagram(self.datagram()?),
            TIMEOUT => Frame::Timeout(Duration::from_nanos(self.u64()?)),
            MTU => Frame::Mtu(self.u32()?),
            EXPECT_TIMEOUT => {
                let nanoseconds = self.u64()?;
                Frame::ExpectTimeout((nanoseconds != u64::MAX).then(|| Duration::from_nanos(nanoseconds)))
            }
            UPDATE_TIMEOUT => Frame::InitialTimeout(Duration::from_millis(self.u32()?.into())),
            unknown => return Err(malformed(format!("opcode {unknown}"))),
        };
        Ok(Some(frame))
    }

    /// Sends a datagram.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let len = u32::try_from(datagram.len()).map_err(malformed)?;
        let frame = [&[PACKET], &len.to_be_bytes()[..], datagram].concat();
        self.0.write_all(&frame)
    }

    /// Says that time is about to pass: what we send from now on is sent later.
    pub(crate) fn acknowledge_timeout(&mut self) -> io::Result<()> {
        self.0.write_all(&[TIMEOUT_ACK])
    }

    fn datagram(&mut self) -> io::Result<Vec<u8>> {
        let len = self.u32()?;
        if len > MAX_DATAGRAM {
            return Err(malformed(format!("a datagram of {len} bytes")));
        }
        let mut datagram = Vec::new();
        (&mut self.0).take(len.into()).read_to_end(&mut datagram)?;
        if datagram.len() as u64 == u64::from(len) {
            Ok(datagram)
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn malformed(what: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn frames_are_read_until_the_runner_hangs_up() {
        let bytes = [
            &b"P\0\0\0\x03abc"[..],
            b"T\0\0\0\0\x3b\x9a\xca\0",
            b"M\0\0\x01\0",
            b"E\xff\xff\xff\xff\xff\xff\xff\xff",
            b"E\0\0\0\0\0\0\0\0",
            b"U\0\0\0\xfa",
        ]
        .concat();
        let mut runner = Runner(Cursor::new(bytes));
        for expected in [
            Frame::Datagram(b"abc".to_vec()),
            Frame::Timeout(Duration::from_secs(1)),
            Frame::Mtu(256),
            Frame::ExpectTimeout(None),
            Frame::ExpectTimeout(Some(Duration::ZERO)),
            Frame::InitialTimeout(Duration::from_millis(250)),
        ] {
            assert_eq!(runner.receive().unwrap(), Some(expected));
        }
        assert_eq!(runner.receive().unwrap(), None);
    }

    #[test]
    fn broken_frames_are_refused() {
        for bytes in [&b"X"[..], b"P\0\0\0\x03ab", b"T\0\0", b"P\xff\xff\xff\xff"] {
            assert!(Runner(Cursor::new(bytes.to_vec())).receive().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn datagrams_are_written_behind_their_length() {
        let mut runner = Runner(Cursor::new(Vec::new()));
        runner.send(b"abc").unwrap();
        runner.acknowledge_timeout().unwrap();
        assert_eq!(runner.0.into_inner(), b"P\0\0\0\x03abct");
    }
}
