//! Hooks into the library's executor: they replace its parser, skip repeated validation, and charge
//! the cost of each value.

use std::sync::{
    Arc,
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

use crate::sync::Mutex;

/// State of one execution, in its request data.
pub(super) struct ExecutionState {
    /// The prepared document, until the executor asks for it.
    document: Mutex<Option<ExecutableDocument>>,
    /// The cache entry of the document, which remembers that the document is valid.
    cached: Option<Arc<CachedDocument>>,
    /// Whether the request passed validation, and its execution has started.
    has_begun: AtomicBool,
    /// Whether a field of this execution waits, or has waited.
    waits: AtomicBool,
}

impl ExecutionState {
    /// The state and the request of a prepared request.
    pub(super) fn of(prepared: Prepared) -> (Arc<Self>, Request) {
        let cached = prepared.cached();
        let (document, operation_name, variables) = prepared.into_parts();
        Self::new(
            Arc::unwrap_or_clone(document),
            operation_name,
            variables,
            cached,
        )
    }

    /// The state and the request of a parsed document.
    pub(super) fn new(
        document: ExecutableDocument,
        operation_name: Option<String>,
        variables: Variables,
        cached: Option<Arc<CachedDocument>>,
    ) -> (Arc<Self>, Request) {
        let execution = Arc::new(Self {
            document: Mutex::new(Some(document)),
            cached,
            has_begun: false.into(),
            waits: false.into(),
        });
        let mut request = Request::new(String::new())
            .variables(variables)
            .data(execution.clone());
        request.operation_name = operation_name;
        (execution, request)
    }

    /// Whether a field may wait. Only the first one that asks may.
    pub(super) fn may_wait(&self) -> bool {
        !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether the execution has started. Errors from before are errors of the request.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }
}

/// The hooks.
///
/// - `parse_query` returns the prepared document, so the library neither parses the text nor runs
///   its check of fragments, which takes exponential time.
/// - `validation` runs once per document.
/// - `execute` records that the execution has started.
/// - `resolve` charges each value to the cost of the response.
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
        let execution = ctx.data_unchecked::<Arc<ExecutionState>>();
        let document = execution.document.lock().take();
        document.ok_or_else(|| ServerError::new("a request was executed twice", None))
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let cached = ctx.data_unchecked::<Arc<ExecutionState>>().cached.as_ref();
        if cached.is_some_and(|cached| cached.is_valid()) {
            return Ok(ValidationResult {
                cache_control: CacheControl::default(),
                complexity: 0,
                depth: 0,
            });
        }
        let result = next.run(ctx).await?;
        if let Some(cached) = cached {
            cached.set_valid();
        }
        Ok(result)
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        ctx.data_unchecked::<Arc<ExecutionState>>()
            .has_begun
            .store(true, Ordering::Release);
        next.run(ctx, operation_name).await
    }

    /// Resolves a field, unless the cost limit is exceeded.
    ///
    /// After that, nothing more is resolved, and fields become null without an error. The root
    /// field gets one error at the end ([`ResponseCost::settle`]). A mutation that did not start
    /// before does not start, and a mutation that was refused keeps the error of its refusal.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let cost = ctx.data_unchecked::<Arc<ResponseCost>>();
        let place = info.path_node;
        let is_mutation = info.parent_type == "Mutation";
        if cost.is_exceeded() {
            cost.refuse_field(place);
            return Ok(Some(Value::Null));
        }
        let resolved = next.run(ctx, info).await;
        if let Ok(Some(value)) = &resolved {
            cost.charge(value).await;
        }
        if cost.is_exceeded() && !(is_mutation && resolved.is_err()) {
            cost.refuse_result(place);
            return Ok(Some(Value::Null));
        }
        resolved
    }
}
