//! Answers clients that end their own side of a connection after a request, which TCP allows.
//!
//! The HTTP library takes the end of the client's side for the end of the connection, and drops the
//! request that it is working on. So the end is withheld from it until the request is answered.
//! Streams and WebSockets are not answers: with the client's side, they end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::{limit::unless_zero, transport::admission::activity::Activity};

/// A stream that reports the end of the client's side only when no answer is due.
pub(super) struct HalfClose<S> {
    stream: S,
    activity: Arc<Activity>,
    timeout: Duration,
    /// Runs from the end of the client's side on. A client that is gone looks the same, so its
    /// requests are not worked on for ever.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> HalfClose<S> {
    /// Withholds the end of the client's side for at most `timeout`. Zero is no limit.
    pub(super) fn new(stream: S, activity: Arc<Activity>, timeout: Duration) -> Self {
        Self {
            stream,
            activity,
            timeout: unless_zero(timeout),
            timer: None,
        }
    }

    /// Ready when the end may be reported.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.activity.owes_answer(cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        let timeout = self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HalfClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.timer.is_some() {
            return self.poll_end(cx);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_end(cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HalfClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
