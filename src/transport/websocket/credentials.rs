//! The caller that a WebSocket is served as, and how long their token is valid.
//!
//! One watch serves the whole connection: its operations do not watch the token themselves.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};

use crate::{
    auth::{TokenError, Watch, time_left},
    domain::{Caller, Timestamp, Viewer},
    protocol::{Close, Input, MessagePayload},
    schema::ApiError,
    transport::{Shared, admission::address::Address},
};

/// The credentials of a connection, and the check of new ones.
pub(super) struct Credentials {
    auth: ConnectionAuth,
    /// For the log.
    address: Option<Address>,
    checking: Option<BoxFuture<'static, TokenCheck>>,
}

enum ConnectionAuth {
    /// Not acknowledged yet. Holds the caller by the upgrade request's token, or the close that
    /// refuses it.
    Offered(Result<Caller, Close>),
    Anonymous,
    Viewer(Viewer, Watch),
}

/// The result of checking a token.
enum TokenCheck {
    /// The credentials of `connection_init`.
    Initial(Result<Caller, Close>),
    /// A token that the client sent later.
    Renewal(Result<Caller, TokenError>),
}

/// The close for a caller who is refused: with a code that says whether to retry, or to sign in
/// again.
pub(super) fn refusal(error: impl Into<ApiError>) -> Close {
    if error.into().is_temporary() {
        Close::TryAgainLater
    } else {
        Close::Forbidden
    }
}

async fn check(
    shared: Arc<Shared>,
    token: Result<Option<String>, TokenError>,
    address: Option<Address>,
) -> Result<Caller, TokenError> {
    shared
        .caller(
            token.as_ref().map(Option::as_deref).map_err(|error| *error),
            address,
        )
        .await
}

impl Credentials {
    pub(super) fn new(offered: Result<Caller, Close>, address: Option<Address>) -> Self {
        Self {
            address,
            auth: ConnectionAuth::Offered(offered),
            checking: None,
        }
    }

    /// The caller. Panics before the connection was acknowledged.
    pub(super) fn caller(&self) -> Caller {
        match &self.auth {
            ConnectionAuth::Viewer(viewer, _) => Caller::Viewer(*viewer),
            ConnectionAuth::Anonymous => Caller::Anonymous,
            ConnectionAuth::Offered(_) => {
                panic!("no operation starts before the acknowledgement")
            }
        }
    }

    /// Checks the credentials in `connection_init`. Without any, those of the upgrade request
    /// count. An invalid token is refused; its sender is never treated as anonymous.
    pub(super) fn admit(&mut self, shared: &Arc<Shared>, payload: &MessagePayload) {
        let token = shared.token_header.token_in_payload(payload);
        if token == Ok(None) {
            let offered = std::mem::replace(&mut self.auth, ConnectionAuth::Anonymous);
            let caller = if let ConnectionAuth::Offered(caller) = offered {
                caller
            } else {
                Ok(Caller::Anonymous)
            };
            self.checking = Some(ready(TokenCheck::Initial(caller)).boxed());
            return;
        }
        let checking = check(
            shared.clone(),
            token.map(|token| token.map(str::to_owned)),
            self.address,
        );
        let checked = checking.map(|caller| TokenCheck::Initial(caller.map_err(refusal)));
        self.checking = Some(checked.boxed());
    }

    /// Checks a token that a client sends while it is served. A newer one replaces it.
    pub(super) fn refresh(&mut self, shared: &Arc<Shared>, payload: &MessagePayload) {
        let token = shared.token_header.token_in_payload(payload);
        if token == Ok(None) {
            return;
        }
        let checking = check(
            shared.clone(),
            token.map(|token| token.map(str::to_owned)),
            self.address,
        );
        self.checking = Some(checking.map(TokenCheck::Renewal).boxed());
    }

    /// Ready when something has changed. Returns the input for the protocol's machine, if the
    /// change matters to it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
    ) -> Poll<Option<Input<'static>>> {
        let checked = self
            .checking
            .as_mut()
            .map(|checking| checking.poll_unpin(cx));
        if let Some(Poll::Ready(checked)) = checked {
            self.checking = None;
            return Poll::Ready(match checked {
                TokenCheck::Initial(caller) => Some(self.admitted(shared, caller)),
                TokenCheck::Renewal(Ok(Caller::Viewer(viewer))) => self.renew(shared, viewer),
                // The new token cannot be checked for now. The current one stays valid.
                TokenCheck::Renewal(Err(error)) if error.is_temporary() => None,
                TokenCheck::Renewal(_) => Some(self.end()),
            });
        }
        match &self.auth {
            ConnectionAuth::Viewer(_, watch) if watch.poll_invalid(cx).is_ready() => {
                Poll::Ready(Some(self.end()))
            }
            _ => Poll::Pending,
        }
    }

    fn admitted(&mut self, shared: &Shared, caller: Result<Caller, Close>) -> Input<'static> {
        match caller {
            Ok(Caller::Viewer(viewer)) => {
                self.auth = ConnectionAuth::Viewer(viewer, shared.auth.watch(&viewer));
                Input::Admitted
            }
            Ok(_) => {
                self.auth = ConnectionAuth::Anonymous;
                Input::Admitted
            }
            Err(Close::Forbidden) => Input::Rejected,
            Err(close) => Input::Leave(close),
        }
    }

    /// Continues as the same user with another token. A token of another user ends the connection.
    pub(super) fn renew(&mut self, shared: &Shared, viewer: Viewer) -> Option<Input<'static>> {
        match &self.auth {
            ConnectionAuth::Viewer(before, _) if before.user == viewer.user => {
                self.auth = ConnectionAuth::Viewer(viewer, shared.auth.watch(&viewer));
                None
            }
            _ => Some(self.end()),
        }
    }

    /// Forgets the token, which is no longer valid, and returns the input that closes the
    /// connection.
    pub(super) fn end(&mut self) -> Input<'static> {
        (self.auth, self.checking) = (ConnectionAuth::Anonymous, None);
        Input::Leave(Close::Forbidden)
    }

    /// The time until the token expires, or until the clock is checked again. Zero if the token has
    /// expired; none if there is no token.
    pub(super) fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let ConnectionAuth::Viewer(viewer, _) = &self.auth else {
            return None;
        };
        Some(time_left(viewer, now).unwrap_or(Duration::ZERO))
    }
}
