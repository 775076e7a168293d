//! A client that takes nothing of what is sent to it is cut off, whatever it was told over.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// A stream whose writer fails once nothing could be written for a while. One that has nothing to write is left alone.
pub(crate) struct Timed<S> {
    stream: S,
    write_timeout: Duration,
    /// When a write that waits will have waited too long. Few connections ever wait, so idle ones hold no timer.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// The client may refuse to take what is sent for this long. Zero is no limit.
    pub(crate) fn new(stream: S, write_timeout: Duration) -> Self {
        Self {
            stream,
            write_timeout,
            stuck: None,
        }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.write_timeout.is_zero() {
            self.stuck = None;
            return written;
        }
        let timeout = self.write_timeout;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn timed() -> (Timed<DuplexStream>, DuplexStream) {
        let (stream, client) = duplex(8);
        (Timed::new(stream, TIMEOUT), client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_too_long_fails() {
        let (mut timed, _client) = timed();
        let start = tokio::time::Instant::now();
        let error = timed.write_all(b"more than eight").await.unwrap_err();
        assert_eq!(
            (error.kind(), start.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, TIMEOUT.as_secs())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_each_time_and_one_that_is_idle_are_left_alone() {
        let (mut timed, mut client) = timed();
        let writing = tokio::spawn(async move {
            timed.write_all(&[7; 64]).await.unwrap();
            timed
        });
        let mut buffer = [0; 8];
        for _ in 0..8 {
            tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
            client.read_exact(&mut buffer).await.unwrap();
        }
        let mut timed = writing.await.unwrap();
        tokio::time::sleep(TIMEOUT * 10).await;
        timed.write_all(b"still").await.unwrap();
        client.read_exact(&mut buffer[..5]).await.unwrap();
        assert_eq!(&buffer[..5], b"still");
    }
}
