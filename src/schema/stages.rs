//! What the executor is told not to do, and what it is asked to say.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    CacheControl, Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextResolve,
        NextValidation, ResolveInfo,
    },
    parser::types::ExecutableDocument,
};

use super::{
    budget::Spending,
    prepare::{CachedDocument, Prepared},
};

/// One run of the executor.
pub(super) struct Run {
    document: Mutex<Option<ExecutableDocument>>,
    known: Option<Arc<CachedDocument>>,
    reached: AtomicBool,
    waits: AtomicBool,
}

impl Run {
    pub(super) fn of(prepared: Prepared) -> (Arc<Self>, Request) {
        let known = prepared.known();
        let (document, operation_name, variables) = prepared.into_parts();
        Self::new(
            Arc::unwrap_or_clone(document),
            operation_name,
            variables,
            known,
        )
    }

    /// A request that carries its parsed document with it.
    pub(super) fn new(
        document: ExecutableDocument,
        operation_name: Option<String>,
        variables: Variables,
        known: Option<Arc<CachedDocument>>,
    ) -> (Arc<Self>, Request) {
        let run = Arc::new(Self {
            document: Mutex::new(Some(document)),
            known,
            reached: false.into(),
            waits: false.into(),
        });
        let mut request = Request::new(String::new())
            .variables(variables)
            .data(run.clone());
        request.operation_name = operation_name;
        (run, request)
    }

    /// Whether a field of it may wait: one may, once.
    pub(super) fn may_wait(&self) -> bool {
        !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether the request was good enough to be executed: errors from before are errors of the request.
    pub(super) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }
}

/// Hands the prepared document over, past the library's own parse and its exponential check of fragments; validates each
/// document once; notes when the execution begins; has every value draw from the answer's budget.
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
        let document = run
            .document
            .lock()
            .expect("no panic under this lock")
            .take();
        document.ok_or_else(|| ServerError::new("a run was executed twice", None))
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let known = ctx.data_unchecked::<Arc<Run>>().known.as_ref();
        if known.is_some_and(|known| known.is_valid()) {
            return Ok(ValidationResult {
                cache_control: CacheControl::default(),
                complexity: 0,
                depth: 0,
            });
        }
        let result = next.run(ctx).await?;
        if let Some(known) = known {
            known.set_valid();
        }
        Ok(result)
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        ctx.data_unchecked::<Arc<Run>>()
            .reached
            .store(true, Ordering::Release);
        next.run(ctx, operation_name).await
    }

    /// Once the budget is overdrawn nothing more is resolved and no error is raised: the field of the root is noted, and gets
    /// its one error when all is done. A change says what became of it: it is not begun then, and its own refusal is kept.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let spending = ctx.data_unchecked::<Arc<Spending>>();
        let place = info.path_node;
        let changes = info.parent_type == "Mutation";
        if spending.is_overdrawn() {
            spending.refuse(place);
            return Ok(Some(Value::Null));
        }
        let resolved = next.run(ctx, info).await;
        if let Ok(Some(value)) = &resolved {
            spending.draw(value).await;
        }
        if spending.is_overdrawn() && !(changes && resolved.is_err()) {
            spending.cut_short(place);
            return Ok(Some(Value::Null));
        }
        resolved
    }
}
