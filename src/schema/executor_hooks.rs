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
    cost::ResponseCost,
    prepare::{CachedDocument, Prepared},
};

/// One run of the executor.
pub(super) struct Execution {
    document: Mutex<Option<ExecutableDocument>>,
    known: Option<Arc<CachedDocument>>,
    begun: AtomicBool,
    waits: AtomicBool,
}

impl Execution {
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
        let execution = Arc::new(Self {
            document: Mutex::new(Some(document)),
            known,
            begun: false.into(),
            waits: false.into(),
        });
        let mut request = Request::new(String::new())
            .variables(variables)
            .data(execution.clone());
        request.operation_name = operation_name;
        (execution, request)
    }

    /// Whether a field of it may wait: one may, once.
    pub(super) fn may_wait(&self) -> bool {
        !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether the request was good enough to be executed: errors from before are errors of the
    /// request.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}

/// Hands the prepared document over, past the library's own parse and its exponential check of
/// fragments; validates each document once; notes when the execution begins; has every value draw
/// from the answer's budget.
pub(super) struct ExecutorHooks;

impl ExtensionFactory for ExecutorHooks {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for ExecutorHooks {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        _query: &str,
        _variables: &Variables,
        _next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let execution = ctx.data_unchecked::<Arc<Execution>>();
        let document = execution
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
        let known = ctx.data_unchecked::<Arc<Execution>>().known.as_ref();
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
        ctx.data_unchecked::<Arc<Execution>>()
            .begun
            .store(true, Ordering::Release);
        next.run(ctx, operation_name).await
    }

    /// Once the budget is overdrawn nothing more is resolved and no error is raised: the field of
    /// the root is noted, and gets its one error when all is done. A change says what became of it:
    /// it is not begun then, and its own refusal is kept.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let cost = ctx.data_unchecked::<Arc<ResponseCost>>();
        let place = info.path_node;
        let changes = info.parent_type == "Mutation";
        if cost.is_exceeded() {
            cost.refuse_field(place);
            return Ok(Some(Value::Null));
        }
        let resolved = next.run(ctx, info).await;
        if let Ok(Some(value)) = &resolved {
            cost.charge(value).await;
        }
        if cost.is_exceeded() && !(changes && resolved.is_err()) {
            cost.refuse_result(place);
            return Ok(Some(Value::Null));
        }
        resolved
    }
}
