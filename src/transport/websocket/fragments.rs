//! How many fragments a client sends. The library puts messages together and tells of whole ones only, so those that go on a
//! message (RFC 6455, 5.4) are counted below it, as the bytes pass.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;

/// Where in its frames a client is.
#[derive(Debug, Default)]
struct Scanner {
    /// The head of the frame that has begun, as far as it is here.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    /// What is still to come of the payload.
    payload_bytes: u64,
    fragments: usize,
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
            self.head[self.head_bytes] = *first;
            self.head_bytes += 1;
            bytes = rest;
            if let Some(payload_bytes) = payload_bytes(&self.head[..self.head_bytes]) {
                self.fragments += usize::from(self.head[0] & 0x0f == 0);
                (self.head_bytes, self.payload_bytes) = (0, payload_bytes);
            }
        }
    }
}

/// How long the payload is, once the head of its frame is whole.
fn payload_bytes(head: &[u8]) -> Option<u64> {
    let [_, short, rest @ ..] = head else {
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

/// A stream whose fragments are counted.
pub(crate) struct Counted<S> {
    stream: S,
    scanner: Scanner,
}

impl<S> Counted<S> {
    /// From the first byte behind the handshake on.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
        }
    }

    /// How many fragments went on a message since this was asked last.
    pub(crate) fn take_fragments(&mut self) -> usize {
        std::mem::take(&mut self.scanner.fragments)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.scanner.feed(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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

    /// A frame as a client sends it: with a mask, its length in the shortest form.
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
        // What is inside looks like the head of a fragment.
        [&[first][..], &length, &[0; 4], &vec![0; payload_bytes]].concat()
    }

    #[test]
    fn only_frames_that_go_on_a_message_count_however_the_bytes_are_cut() {
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
                (scanner.fragments, scanner.head_bytes, scanner.payload_bytes),
                (2 * sizes.len(), 0, 0),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_length_past_all_bounds_is_waited_for_and_nothing_breaks() {
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
