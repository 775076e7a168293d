//! The limits of all modules as flags and environment variables.
//!
//! A limit is declared in its own module, with its help text and its default (see `src/limit.rs`).
//! This file lists only the limits that `--no-rate-limits` lifts.

use std::{any::TypeId, time::Duration};

use clap::{Arg, Args, Command, builder::StyledStr};

use crate::{
    auth::AuthLimits,
    hub::HubLimits,
    presence::PresenceLimits,
    schema::{PrepareLimits, SchemaLimits},
    store::sqlite::SqliteLimits,
    transport::TransportLimits,
    view::ViewLimits,
};

/// The heading in `--help` under which all limits appear, and nothing else.
const HEADING: &str = "Limits (unless the text says otherwise, 0 means no limit for a number, a \
                       size, a rate or a timeout; for any other time, 0 means zero seconds. Each \
                       limit is also an environment variable, such as SWITCHBOARD_CONNECTIONS_MAX)";

/// The limits of all modules.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = HEADING, mut_args = complete)]
pub struct LimitFlags {
    /// The limits of connections, requests and streams.
    #[command(flatten)]
    pub transport: TransportLimits,
    /// The limits of texts, pages, searches and answers.
    #[command(flatten)]
    pub schema: SchemaLimits,
    /// The limits of GraphQL documents.
    #[command(flatten)]
    pub prepare: PrepareLimits,
    /// The limits of writes, and of the memory for rooms that have readers.
    #[command(flatten)]
    pub hub: HubLimits,
    /// The limits of presence, typing and signals.
    #[command(flatten)]
    pub presence: PresenceLimits,
    /// The limits of views, their frames and their executions.
    #[command(flatten)]
    pub view: ViewLimits,
    /// The limits of the SQLite store.
    #[command(flatten)]
    pub sqlite: SqliteLimits,
    /// The limits of tokens, and of the keys that an identity provider publishes.
    #[command(flatten)]
    pub auth: AuthLimits,
}

/// Gives a limit its environment variable and the name of its value. Other flags stay as they are.
fn complete(arg: Arg) -> Arg {
    if arg.get_help_heading() != Some(HEADING) {
        return arg;
    }
    let variable = format!("SWITCHBOARD_{}", arg.get_id().as_str().to_uppercase());
    let is_time = arg.get_value_parser().type_id() == TypeId::of::<Duration>();
    arg.env(variable)
        .hide_env(true)
        // There are more than a hundred limits; `--help limits` shows them.
        .hide(true)
        .value_name(if is_time { "TIME" } else { "N" })
}

/// The help of the limits, and of nothing else: `switchboard --help limits`.
pub(super) fn help_of_limits(command: Command) -> StyledStr {
    command
        .about("The limits of the server")
        .long_about(None)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(|arg| {
            let is_limit = arg.get_help_heading() == Some(HEADING);
            arg.hide(!is_limit)
        })
        .mut_subcommands(|command| command.hide(true))
        .disable_help_subcommand(true)
        .override_usage("switchboard [OPTIONS]")
        .render_long_help()
}

impl LimitFlags {
    /// These limits without rate limits and without limits per address, per user or per connection.
    #[must_use]
    pub fn without_rates(mut self) -> Self {
        let Self {
            transport,
            hub,
            presence,
            view,
            schema,
            ..
        } = &mut self;
        for rate in [
            &mut transport.connects_per_second_per_address_max,
            &mut transport.messages_per_second_max,
            &mut transport.requests_per_second_max,
            &mut transport.requests_per_second_per_address_max,
            &mut transport.sign_ins_per_second_per_address_max,
            &mut hub.mutations_per_second_per_user_max,
            &mut presence.signals_per_second_per_user_max,
        ] {
            *rate = 0;
        }
        for daily in [
            &mut transport.sign_ins_per_day_per_address_max,
            &mut hub.rooms_per_day_per_user_max,
            &mut hub.rooms_per_day_per_address_max,
            &mut hub.memberships_per_day_per_user_max,
            &mut hub.memberships_per_day_per_address_max,
            &mut hub.stored_bytes_per_day_per_user_max,
            &mut hub.stored_bytes_per_day_per_address_max,
        ] {
            *daily = 0;
        }
        for limit in [
            &mut transport.connections_per_address_max,
            &mut transport.connections_per_user_max,
            &mut transport.http_connections_per_address_max,
            &mut transport.handshakes_per_address_max,
            &mut transport.waiting_bytes_per_address_max,
            &mut transport.queries_running_per_address_max,
            &mut hub.waits_per_viewer_max,
            &mut view.subscriptions_per_viewer_max,
            &mut view.plans_bytes_per_viewer_max,
            &mut view.plans_bytes_per_address_max,
            &mut schema.searches_per_user_max,
            &mut schema.searches_per_address_max,
        ] {
            *limit = 0;
        }
        // This limit cannot be 0. Instead, a user may fill the whole queue.
        hub.append_queue_per_user_max = hub.append_queue_max;
        self
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn every_limit_has_the_environment_variable_of_its_flag_and_no_other_flag_is_touched() {
        let command = CommandLine::command();
        let (limits, others): (Vec<_>, Vec<_>) = command
            .get_arguments()
            .partition(|arg| arg.get_help_heading() == Some(HEADING));
        assert!(limits.len() > 80, "{}", limits.len());
        for limit in limits {
            let flag = limit.get_long().expect("a limit is a flag");
            let variable = format!("SWITCHBOARD_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(limit.get_env().unwrap(), variable.as_str());
            assert!(
                limit.is_hide_env_set() && limit.get_help().is_some(),
                "{flag}"
            );
        }
        assert!(others.iter().all(|arg| !arg.is_hide_env_set()));
    }

    #[test]
    fn the_defaults_of_the_command_line_are_those_of_the_modules() {
        let flags = CommandLine::try_parse_from(["switchboard"]).unwrap();
        let limits = LimitFlags {
            transport: TransportLimits::default(),
            schema: SchemaLimits::default(),
            prepare: PrepareLimits::default(),
            hub: HubLimits::default(),
            presence: PresenceLimits::default(),
            view: ViewLimits::default(),
            sqlite: SqliteLimits::default(),
            auth: AuthLimits::default(),
        };
        assert_eq!(format!("{:?}", flags.serve.limits), format!("{limits:?}"));
    }
}
