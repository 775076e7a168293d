//! Routes with which a test sets the clock, or replaces the state of the server. They exist only if
//! the flags ask for them, and only on loopback.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};

use crate::{
    schema::{format_time, parse_time},
    sync::Mutex,
    test_clock::{NewTime, TestClock},
    transport::{Shared, Site, browser::guard, router},
};

/// Replaces the state of the server. The error is one line for the caller.
pub type Reset =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The application that answers requests. A reset replaces it.
#[derive(Clone)]
pub struct CurrentApp(Arc<Mutex<Router>>);

/// The routes for tests that a server has.
pub struct TestRoutes {
    /// The clock that `/test/clock` sets. None without `--test-clock`.
    pub clock: Option<Arc<TestClock>>,
    /// What `/test/reset` calls. None if the database stays after the end of the server.
    pub reset: Option<Reset>,
}

impl CurrentApp {
    /// The application of this state.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Mutex::new(router(shared))))
    }

    /// Requests that arrive from now on use this state.
    pub fn replace(&self, shared: Arc<Shared>) {
        *self.0.lock() = router(shared);
    }

    /// Gives up the state. Requests are then answered with 404.
    pub fn clear(&self) {
        *self.0.lock() = Router::new();
    }

    /// The application for a server without routes for tests. It is not replaced.
    pub fn fixed(&self) -> Router {
        self.0.lock().clone()
    }

    /// The application, and beside it the routes for tests. The routes pass the same checks of host
    /// and origin as all others.
    pub fn with_test_routes(&self, routes: TestRoutes, site: Site) -> Router {
        let mut app = Router::new();
        let bases = if site.base_path.is_given() {
            vec![String::new(), site.base_path.to_string()]
        } else {
            vec![String::new()]
        };
        for base in bases {
            if let Some(clock) = &routes.clock {
                let clock = get(read_clock).post(set_clock).with_state(clock.clone());
                app = app.route(&format!("{base}/test/clock"), clock);
            }
            if let Some(reset) = &routes.reset {
                let reset = post(run_reset).with_state(reset.clone());
                app = app.route(&format!("{base}/test/reset"), reset);
            }
        }
        let current = self.clone();
        app.layer(from_fn_with_state(Arc::new(site), guard::guard))
            .fallback(async move |request: Request| {
                let app = current.0.lock().clone();
                TowerToHyperService::new(app).call(request).await
            })
    }
}

/// `POST /test/reset`.
async fn run_reset(State(reset): State<Reset>) -> Response {
    match reset().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")).into_response(),
    }
}

/// The clock, in answers.
#[derive(Serialize)]
struct ClockReading {
    now: Option<String>,
    frozen: bool,
}

/// A change of the clock. What is missing stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClockChange {
    now: Option<String>,
    advance_seconds: Option<f64>,
    frozen: Option<bool>,
}

/// `GET /test/clock`.
async fn read_clock(State(clock): State<Arc<TestClock>>) -> Json<ClockReading> {
    Json(ClockReading {
        now: format_time(clock.now()),
        frozen: clock.is_frozen(),
    })
}

/// `POST /test/clock`.
async fn set_clock(State(clock): State<Arc<TestClock>>, body: Bytes) -> Response {
    match change_clock(&clock, &body) {
        Ok(()) => read_clock(State(clock)).await.into_response(),
        Err(reason) => (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response(),
    }
}

/// Applies a change. The error is one line for the caller, and the clock is then unchanged.
fn change_clock(clock: &TestClock, body: &[u8]) -> Result<(), String> {
    let change: ClockChange = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let time = match (change.now, change.advance_seconds) {
        (Some(_), Some(_)) => return Err("give now or advanceSeconds, not both".to_owned()),
        (Some(now), None) => {
            NewTime::At(parse_time(&now).ok_or("now: write it like 2030-01-31T12:00:00Z")?)
        }
        (None, Some(seconds)) => NewTime::LaterBy(
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| "advanceSeconds: a number from 0; to set the clock back, give now")?,
        ),
        (None, None) => NewTime::Same,
    };
    let changed = clock.change(time, change.frozen);
    changed.map_err(|error| error.to_string())
}
