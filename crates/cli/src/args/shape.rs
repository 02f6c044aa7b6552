//! What shapes a plan; meaningless once a plan exists.

use clap::Args;
use patchyard_types::{Budget, Data, Millis, Order, WritableLayer};

#[derive(Debug, Args)]
#[command(next_help_heading = "Options that shape the plan")]
pub struct Shape {
    /// How long the checks must stay green after a patch, such as 30s
    #[arg(long, value_name = "DURATION")]
    pub verify_for: Option<Millis>,
    /// The longest any one step may take, such as 20m
    #[arg(long, value_name = "DURATION")]
    pub step_timeout: Option<Millis>,
    /// Targets of one service that may be unavailable at a time: a number or a percentage
    #[arg(long, value_name = "N|N%", value_parser = at_least_one)]
    pub max_unavailable: Option<Budget>,
    /// Stop when more runs than this have failed: a number or a percentage
    #[arg(long, value_name = "N|N%")]
    pub max_failures: Option<Budget>,
    /// Targets of all services together that may go at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_parallel: Option<u32>,
    /// The most a patch may add to an image, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_layer: Option<u64>,
    /// What becomes of data in a container's writable layer: carry it into the new container, discard
    /// it, or leave_out the container (the default)
    #[arg(long, value_name = "CHOICE")]
    pub writable_layer: Option<WritableLayer>,
    /// What a rollback does to volumes: keep what was written since (the default), or restore what they held
    /// when the old container was stopped
    #[arg(long, value_name = "CHOICE")]
    pub data: Option<Data>,
    /// Stop-first (the default), or start-first: the new container runs and proves itself beside the old one
    #[arg(long, value_name = "ORDER")]
    pub order: Option<Order>,
    /// Let a patch remove packages
    #[arg(long)]
    pub allow_remove: bool,
}

impl Shape {
    pub const fn is_given(&self) -> bool {
        let Self {
            verify_for,
            step_timeout,
            max_unavailable,
            max_failures,
            max_parallel,
            max_layer,
            writable_layer,
            data,
            order,
            allow_remove,
        } = self;
        verify_for.is_some()
            || step_timeout.is_some()
            || max_unavailable.is_some()
            || max_failures.is_some()
            || max_parallel.is_some()
            || max_layer.is_some()
            || writable_layer.is_some()
            || data.is_some()
            || order.is_some()
            || *allow_remove
    }
}

fn at_least_one(text: &str) -> Result<Budget, String> {
    match text.parse() {
        Ok(Budget::Count(0) | Budget::Percent(0)) => Err("at least 1, or nothing would ever start".into()),
        Ok(budget) => Ok(budget),
        Err(error) => Err(error.to_string()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    patchyard_app::size::parse(text).ok_or_else(|| "write a whole number and a unit, as in 512MiB".into())
}
