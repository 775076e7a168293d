//! An engine that a test can replace by a new one, while the server keeps its port.

use std::sync::Arc;

use tokio::{runtime::Handle, sync::Mutex as AsyncMutex, task::spawn_blocking};

use super::{InUse, StartError, engine::Engine};
use crate::{
    config::ServeFlags,
    domain::Clock,
    sync::Mutex,
    test_clock::TestClock,
    transport::{CurrentApp, Reset},
};

/// An engine that a test can replace by a new one.
pub(super) struct ReplaceableEngine {
    flags: ServeFlags,
    clock: Clock,
    pub(super) test_clock: Option<Arc<TestClock>>,
    pub(super) app: CurrentApp,
    /// None after the stop.
    engine: Mutex<Option<Engine>>,
    /// Held while the engine is replaced or stopped.
    turn: AsyncMutex<()>,
}

impl ReplaceableEngine {
    pub(super) fn new(
        engine: Engine,
        flags: &ServeFlags,
        clock: Clock,
        test_clock: Option<Arc<TestClock>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            flags: flags.clone(),
            clock,
            test_clock,
            app: CurrentApp::new(engine.shared()),
            engine: Mutex::new(Some(engine)),
            turn: AsyncMutex::default(),
        })
    }

    /// Replaces the engine by one with a new database. Returns when the old one has ended, and all
    /// its connections are closed.
    pub(super) async fn reset(&self) -> Result<(), StartError> {
        let _turn = self.turn.lock().await;
        if let Some(clock) = &self.test_clock {
            clock.reset();
        }
        let new = self.start_another().await?;
        let shared = new.shared();
        let Some(old) = self.replace(new) else {
            return Err(StartError::Stopped);
        };
        self.app.replace(shared);
        old.drain().await;
        old.stop().await;
        tracing::info!("a test has replaced the database by a new one");
        Ok(())
    }

    /// Starts an engine like the first one, on a thread of its own: the library's future that opens
    /// a database is not `Send` for the compiler.
    async fn start_another(&self) -> Result<Engine, StartError> {
        let (flags, clock) = (self.flags.clone(), self.clock.clone());
        let runtime = Handle::current();
        let started = spawn_blocking(move || runtime.block_on(Engine::start(&flags, clock))).await;
        started.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Returns the old engine. None if the server has stopped: the new engine is then dropped.
    fn replace(&self, new: Engine) -> Option<Engine> {
        let mut engine = self.engine.lock();
        engine.is_some().then(|| engine.replace(new)).flatten()
    }

    /// The reset as a function, for the route `/test/reset`.
    pub(super) fn reset_handle(self: Arc<Self>) -> Reset {
        Arc::new(move || {
            let engine = self.clone();
            Box::pin(async move { engine.reset().await.map_err(|error| error.to_string()) })
        })
    }

    /// The resources of the present engine. Those of the listener are zero.
    pub(super) fn in_use(&self) -> InUse {
        let engine = self.engine.lock();
        engine.as_ref().map(Engine::in_use).unwrap_or_default()
    }

    /// Drains the engine, calls `between`, and stops the engine.
    pub(super) async fn stop(&self, between: impl Future<Output = ()>) {
        let _turn = self.turn.lock().await;
        let drained = self.engine.lock().as_ref().map(Engine::drain);
        if let Some(drained) = drained {
            drained.await;
        }
        between.await;
        self.app.clear();
        let engine = self.engine.lock().take();
        if let Some(engine) = engine {
            engine.stop().await;
        }
    }
}
