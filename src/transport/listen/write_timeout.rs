//! The write timeout (T1): a client that takes none of the bytes sent to it is disconnected, over
//! every protocol.

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

/// A stream whose writes fail when nothing could be written for a while. A stream that has nothing
/// to write has no timeout.
pub(super) struct WriteTimeout<S> {
    stream: S,
    timeout: Duration,
    /// Runs while a write waits. Few writes ever wait, so an idle connection holds no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    /// Limits how long a write may wait for the client. Zero is no limit.
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            timeout,
            timer: None,
        }
    }

    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.timeout.is_zero() {
            self.timer = None;
            return written;
        }
        let timeout = self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.check(cx, written)
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

    fn limited() -> (WriteTimeout<DuplexStream>, DuplexStream) {
        let (stream, client) = duplex(8);
        (WriteTimeout::new(stream, TIMEOUT), client)
    }

    #[tokio::test(start_paused = true)]
    async fn t1_a_write_that_waits_too_long_fails() {
        let (mut stream, _client) = limited();
        let start = tokio::time::Instant::now();
        let error = stream.write_all(b"more than eight").await.unwrap_err();
        assert_eq!(
            (error.kind(), start.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, TIMEOUT.as_secs())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn t1_a_slow_client_and_an_idle_client_stay_connected() {
        let (mut stream, mut client) = limited();
        let writing = tokio::spawn(async move {
            stream.write_all(&[7; 64]).await.unwrap();
            stream
        });
        let mut buffer = [0; 8];
        for _ in 0..8 {
            tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
            client.read_exact(&mut buffer).await.unwrap();
        }
        let mut stream = writing.await.unwrap();
        tokio::time::sleep(TIMEOUT * 10).await;
        stream.write_all(b"still").await.unwrap();
        client.read_exact(&mut buffer[..5]).await.unwrap();
        assert_eq!(&buffer[..5], b"still");
    }
}
