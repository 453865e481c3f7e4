//! All layers, in order.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};

use super::report::{Layer, Measure, Policy, Report, State};
use super::{limits, namespaces, policy};

/// Puts the sandbox on the calling process, which has one thread and dies with its parent from here on.
/// With `debug`, the standard error stays usable. Answers what is in force.
///
/// # Errors
/// The reason why there is no system-call filter, when the policy asks for one.
pub(crate) fn apply(wanted: Policy, debug: bool, parent: u32) -> Result<Report, String> {
    let mut report = Report::default();
    if wanted == Policy::Off {
        limits::die_with(parent);
        return Ok(report);
    }
    namespaces::enter(&mut report);
    report.note(Layer::NoNewPrivileges, limits::no_new_privileges());
    report.measures.push(Measure { layer: Layer::Landlock, state: restrict() });
    report.note(Layer::Capabilities, limits::drop_capabilities());
    let own_users = report.state(Layer::UserNamespace) == Some(&State::InForce);
    report.note(Layer::Limits, limits::bound(own_users, debug));
    // After the last change of credentials, which would undo it; before the filter, which forbids it.
    limits::die_with(parent);
    policy::install(debug)?;
    report.note(Layer::SystemCalls, Ok::<(), String>(()));
    Ok(report)
}

/// Takes every file, TCP port, foreign process and abstract socket away, as far as the kernel knows how.
fn restrict() -> State {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    match restricted {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => State::InForce,
            RulesetStatus::PartiallyEnforced => {
                State::Partly("this kernel knows an older Landlock; Linux 6.12 has all of it".into())
            }
            RulesetStatus::NotEnforced => State::Missing(
                "this kernel has no Landlock, or it is not enabled at boot (lsm=landlock,…)".into(),
            ),
        },
        Err(error) => State::Missing(error.to_string()),
    }
}
