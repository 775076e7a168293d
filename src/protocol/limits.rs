//! The limits of one connection's protocol.

use clap::Args;
use serde_json::Value;

use super::message::graphql_error;
use crate::limit::defaults;

/// Limits of the operations on one connection.
#[derive(Args, Clone, Copy, Debug)]
pub struct MachineLimits {
    /// Maximum operations that run at the same time on one connection.
    #[arg(long, default_value_t = 100)]
    pub operations_max: usize,
    /// Maximum bytes of an operation's id.
    #[arg(long, default_value_t = 128)]
    pub operation_id_bytes_max: usize,
    /// Maximum bytes of operations that wait for `connection_ack` (legacy graphql-ws protocol).
    #[arg(long, default_value_t = 256 * 1024)]
    pub held_bytes_max: usize,
}

impl Default for MachineLimits {
    fn default() -> Self {
        defaults()
    }
}

impl MachineLimits {
    /// Whether an operation may have this id.
    pub(super) fn allow_id(&self, id: &str) -> bool {
        let limit = self.operation_id_bytes_max;
        !id.is_empty() && (limit == 0 || id.len() <= limit)
    }

    /// The error that refuses one more operation, if `running` is already the maximum.
    pub(super) fn too_many(&self, running: usize) -> Option<Value> {
        let limit = self.operations_max;
        let message = format!(
            "This connection runs {limit} operations already, which is the limit; \
             complete one first, or open another connection."
        );
        (limit != 0 && running >= limit).then(|| graphql_error(&message, "TOO_MANY_OPERATIONS"))
    }
}
