//! As whom a WebSocket is served, and for how long.

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
    protocol::{Close, Input, Payload, authorization},
    schema::ApiError,
    transport::Shared,
};

/// As whom a connection is served.
pub(crate) struct Credentials {
    standing: ConnectionAuth,
    checking: Option<BoxFuture<'static, Checked>>,
}

enum ConnectionAuth {
    /// Not acknowledged yet: who asks, by the upgrade's token, or how to refuse them.
    Offered(Result<Caller, Close>),
    Anonymous,
    Viewer(Viewer, Watch),
}

enum Checked {
    /// The token of `connection_init`.
    First(Result<Caller, Close>),
    /// A later one.
    Fresh(Result<Viewer, TokenError>),
}

/// After which close a client may come back, and with what.
pub(crate) fn refusal(error: impl Into<ApiError>) -> Close {
    if error.into().is_temporary() {
        Close::TryAgainLater
    } else {
        Close::Forbidden
    }
}

impl Credentials {
    pub(crate) fn new(offered: Result<Caller, Close>) -> Self {
        Self {
            standing: ConnectionAuth::Offered(offered),
            checking: None,
        }
    }

    /// Who asks, once they were admitted.
    pub(crate) fn caller(&self) -> Caller {
        match &self.standing {
            ConnectionAuth::Viewer(viewer, _) => Caller::Viewer(*viewer),
            ConnectionAuth::Anonymous => Caller::Anonymous,
            ConnectionAuth::Offered(_) => {
                panic!("nothing starts before the credentials were found good")
            }
        }
    }

    /// Checks what `connection_init` brings. A bad token is never nobody.
    pub(crate) fn admit(&mut self, shared: &Arc<Shared>, payload: &Payload) {
        let Some(given) = authorization(payload) else {
            let offered = std::mem::replace(&mut self.standing, ConnectionAuth::Anonymous);
            let caller = if let ConnectionAuth::Offered(caller) = offered {
                caller
            } else {
                Ok(Caller::Anonymous)
            };
            self.checking = Some(ready(Checked::First(caller)).boxed());
            return;
        };
        let (shared, bearer) = (shared.clone(), given.to_owned());
        let checking = async move {
            shared
                .bearer(&bearer)
                .await
                .map(Caller::Viewer)
                .map_err(refusal)
        };
        self.checking = Some(checking.map(Checked::First).boxed());
    }

    /// Checks a token that a client sends while it is served. Only the last one counts.
    pub(crate) fn refresh(&mut self, shared: &Arc<Shared>, payload: &Payload) {
        let Some(given) = authorization(payload) else {
            return;
        };
        let (shared, bearer) = (shared.clone(), given.to_owned());
        self.checking = Some(async move { Checked::Fresh(shared.bearer(&bearer).await) }.boxed());
    }

    /// Ready when something has changed, with what the machine must be told about it, if anything.
    pub(crate) fn poll(
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
                Checked::First(caller) => Some(self.admitted(shared, caller)),
                Checked::Fresh(Ok(viewer)) => self.renew(shared, viewer),
                // The token from before is as good as it was.
                Checked::Fresh(Err(error)) if error.is_temporary() => None,
                Checked::Fresh(Err(_)) => Some(self.end()),
            });
        }
        match &self.standing {
            ConnectionAuth::Viewer(_, watch) if watch.poll_revoked(cx).is_ready() => {
                Poll::Ready(Some(self.end()))
            }
            _ => Poll::Pending,
        }
    }

    fn admitted(&mut self, shared: &Shared, caller: Result<Caller, Close>) -> Input<'static> {
        match caller {
            Ok(Caller::Viewer(viewer)) => {
                self.standing = ConnectionAuth::Viewer(viewer, shared.auth.watch(&viewer));
                Input::Admitted
            }
            Ok(_) => {
                self.standing = ConnectionAuth::Anonymous;
                Input::Admitted
            }
            Err(Close::Forbidden) => Input::Rejected,
            Err(close) => Input::Leave(close),
        }
    }

    /// Goes on as the same user with another token; as anybody else it does not go on.
    pub(crate) fn renew(&mut self, shared: &Shared, viewer: Viewer) -> Option<Input<'static>> {
        match &self.standing {
            ConnectionAuth::Viewer(before, _) if before.user == viewer.user => {
                self.standing = ConnectionAuth::Viewer(viewer, shared.auth.watch(&viewer));
                None
            }
            _ => Some(self.end()),
        }
    }

    /// Says that the token is no longer good, once.
    pub(crate) fn end(&mut self) -> Input<'static> {
        (self.standing, self.checking) = (ConnectionAuth::Anonymous, None);
        Input::Leave(Close::Forbidden)
    }

    /// How long the token is good from this moment on, or how long not to look again.
    pub(crate) fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let ConnectionAuth::Viewer(viewer, _) = &self.standing else {
            return None;
        };
        Some(time_left(viewer, now).unwrap_or(Duration::ZERO))
    }
}
