//! Counts the fragments that a client sends.
//!
//! The WebSocket library assembles messages and reports only whole ones. A client could therefore
//! send any number of continuation frames (RFC 6455, section 5.4) at the price of one message. They
//! are counted below the library, as the bytes pass.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest header of a frame: 2 bytes, a length of 8, a mask of 4.
const HEADER_BYTES_MAX: usize = 14;

/// The position in a client's stream of frames.
#[derive(Debug, Default)]
struct Scanner {
    /// The header of the current frame, as far as it was received.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// Bytes of the current frame's payload that are still to come.
    payload_bytes: u64,
    /// Continuation frames since the count was last taken.
    fragments: usize,
    /// A message has begun whose last frame was not read.
    is_fragmented: bool,
}

impl Scanner {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            if self.payload_bytes > 0 {
                let passed = usize::try_from(self.payload_bytes)
                    .map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload_bytes -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = rest;
            if let Some(payload_bytes) = payload_bytes(&self.header[..self.header_bytes]) {
                self.fragments += usize::from(self.header[0] & 0x0f == 0);
                // Control frames may come between the frames of a message.
                let is_control = self.header[0] & 0x08 != 0;
                if !is_control {
                    self.is_fragmented = self.header[0] & 0x80 == 0;
                }
                (self.header_bytes, self.payload_bytes) = (0, payload_bytes);
            }
        }
    }
}

/// The length of a frame's payload, or none while the frame's header is incomplete.
fn payload_bytes(header: &[u8]) -> Option<u64> {
    let [_, short, rest @ ..] = header else {
        return None;
    };
    let length_bytes = match short & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask_bytes = if short & 0x80 == 0 { 0 } else { 4 };
    if rest.len() < length_bytes + mask_bytes {
        return None;
    }
    let long = rest[..length_bytes]
        .iter()
        .fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(if length_bytes == 0 {
        u64::from(short & 0x7f)
    } else {
        long
    })
}

/// A stream of frames that counts continuation frames as they are read, and notices the end.
///
/// The end is not reported to the library, which would then write nothing more.
pub(super) struct FragmentCounter<S> {
    stream: S,
    scanner: Scanner,
    has_ended: bool,
}

impl<S> FragmentCounter<S> {
    /// Counts from the first byte after the handshake.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            has_ended: false,
        }
    }

    /// Whether the client has sent a part of a message, and not all of it.
    pub(super) fn is_in_message(&self) -> bool {
        let Scanner {
            header_bytes,
            payload_bytes,
            is_fragmented,
            ..
        } = self.scanner;
        header_bytes > 0 || payload_bytes > 0 || is_fragmented
    }

    /// Whether the client has ended its side of the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the number of continuation frames since the last call.
    pub(super) fn take_fragments(&mut self) -> usize {
        std::mem::take(&mut self.scanner.fragments)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FragmentCounter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_ended {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() && buffer.remaining() > 0 {
            self.has_ended = true;
            return Poll::Pending;
        }
        self.scanner.feed(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FragmentCounter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it: masked, with its length in the shortest form.
    fn frame(first: u8, payload_bytes: usize) -> Vec<u8> {
        let length = match payload_bytes {
            0..126 => vec![0x80 | u8::try_from(payload_bytes).unwrap()],
            126..65_536 => [
                &[0x80 | 126][..],
                &u16::try_from(payload_bytes).unwrap().to_be_bytes(),
            ]
            .concat(),
            _ => [&[0x80 | 127][..], &(payload_bytes as u64).to_be_bytes()].concat(),
        };
        // The payload looks like the header of a continuation frame.
        [&[first][..], &length, &[0; 4], &vec![0; payload_bytes]].concat()
    }

    #[test]
    fn continuation_frames_are_counted_wherever_the_bytes_are_split() {
        let sizes = [0, 1, 125, 126, 300, 65_535, 65_536, 70_000];
        let frames = sizes.map(|size| {
            [
                frame(0x01, size),
                frame(0x89, 4),
                frame(0x00, size),
                frame(0x80, size),
            ]
            .concat()
        });
        let bytes = [
            frames.concat(),
            frame(0x81, 3),
            frame(0x8a, 0),
            frame(0x88, 2),
        ]
        .concat();
        for cut in [1, 2, 3, 7, 4096, bytes.len()] {
            let mut scanner = Scanner::default();
            bytes.chunks(cut).for_each(|part| scanner.feed(part));
            assert_eq!(
                (
                    scanner.fragments,
                    scanner.header_bytes,
                    scanner.payload_bytes
                ),
                (2 * sizes.len(), 0, 0),
                "{cut}"
            );
        }
    }

    #[test]
    fn the_largest_possible_length_does_not_overflow() {
        let mut scanner = Scanner::default();
        scanner.feed(&[
            0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 0, 0, 0,
        ]);
        assert_eq!(
            (scanner.fragments, scanner.payload_bytes),
            (1, u64::MAX - 3)
        );
    }
}
