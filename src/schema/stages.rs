//! What the executor is told not to do, and what it is asked to say.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    Request, Response, ServerError, ServerResult, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery},
    parser::types::ExecutableDocument,
};

use super::prepare::Prepared;

/// One run of the executor.
pub(super) struct Run {
    document: Mutex<Option<ExecutableDocument>>,
    reached: AtomicBool,
}

impl Run {
    pub(super) fn of(prepared: Prepared) -> (Arc<Self>, Request) {
        let (document, operation_name, variables) = prepared.into_parts();
        Self::new(Arc::unwrap_or_clone(document), operation_name, variables)
    }

    /// A request that carries its parsed document with it.
    pub(super) fn new(
        document: ExecutableDocument,
        operation_name: Option<String>,
        variables: Variables,
    ) -> (Arc<Self>, Request) {
        let run = Arc::new(Self { document: Mutex::new(Some(document)), reached: AtomicBool::new(false) });
        let mut request = Request::new(String::new()).variables(variables).data(run.clone());
        request.operation_name = operation_name;
        (run, request)
    }

    /// Whether the request was good enough to be executed: errors from before are errors of the request.
    pub(super) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }
}

/// Hands the prepared document over, past the library's own parse and its exponential check of fragments, and notes when
/// the execution begins.
pub(super) struct Stages;

impl ExtensionFactory for Stages {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for Stages {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        _query: &str,
        _variables: &Variables,
        _next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let run = ctx.data_unchecked::<Arc<Run>>();
        let document = run.document.lock().expect("no panic under this lock").take();
        document.ok_or_else(|| ServerError::new("a run was executed twice", None))
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        ctx.data_unchecked::<Arc<Run>>().reached.store(true, Ordering::Release);
        next.run(ctx, operation_name).await
    }
}
