//! The judge of looks at a target: what was stable before, and whether it holds after.
//!
//! Fail closed: a question that could not be asked has a bad answer. "Healthy once" is not enough:
//! the answers must stay good for `verify_for`, and a restart between two looks counts.

use std::time::Duration;

use jiff::Timestamp;
use patchyard_types::{
    Action, Baseline, Check, Failure, FailureKind, Health, HttpAnswer, Millis, Observation, Protocol,
    TargetState,
};

/// How many looks in a row must be bad before a target that was good counts as failed. One late
/// answer on a busy host is not a regression; hard facts (it exited, restarted, is unhealthy) need
/// no second look.
const BAD_LOOKS: u32 = 2;

/// An answer is wildly slower when it takes more than ten times as long as before and a second on top.
const SLOWER: (u64, u64) = (10, 1000);

/// The time between two looks.
pub const LOOK_EVERY: Millis = Millis(500);

/// What the two looks before a patch say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Healthy, and this is what was stable.
    Good(Baseline),
    /// Not decided yet (its healthcheck is still starting): look again.
    Wait,
    /// Unhealthy beforehand: it is skipped, not judged.
    Bad(Failure),
}

/// Compares two looks before a patch; only what is stable counts.
#[must_use]
pub fn before(action: &Action, first: &Observation, second: &Observation) -> Before {
    let expected = names(&action.checks);
    for look in [first, second] {
        if let Some(reason) = unfit(look, &expected) {
            let message = format!("was not healthy before the patch: {reason}");
            return Before::Bad(Failure::new(FailureKind::Precondition, message));
        }
    }
    if second.health == Health::Starting {
        return Before::Wait;
    }
    if first.started_at != second.started_at || first.restarts != second.restarts {
        let message = "was restarting before the patch";
        return Before::Bad(Failure::new(FailureKind::Precondition, message));
    }
    Before::Good(Baseline {
        listening: common(first.listening.as_ref(), second.listening.as_ref())
            // Connected UDP sockets and ephemeral ports come and go.
            .filter(|socket| socket.protocol == Protocol::Tcp || socket.port < EPHEMERAL)
            .collect(),
        processes: first.lasting.intersection(&second.lasting).cloned().collect(),
        http: first
            .http
            .iter()
            .filter_map(|(port, a)| Some((*port, stable(*a, *second.http.get(port)?)?)))
            .collect(),
        parts: first.parts.intersection(&second.parts).cloned().collect(),
        failed_units: Some(first.failed_units.union(&second.failed_units).cloned().collect()),
        healthcheck: second.health != Health::None,
    })
}

/// First port of Linux's default range for outgoing connections (`ip_local_port_range`).
const EPHEMERAL: u16 = 32768;

fn common<'a, T: Ord + Copy>(
    a: Option<&'a std::collections::BTreeSet<T>>,
    b: Option<&'a std::collections::BTreeSet<T>>,
) -> impl Iterator<Item = T> + 'a {
    a.into_iter().zip(b).flat_map(|(a, b)| a.intersection(b).copied())
}

/// Both answers of one class, with the slower time; `None` when they differ or nothing answered.
fn stable(a: HttpAnswer, b: HttpAnswer) -> Option<HttpAnswer> {
    match (a, b) {
        (HttpAnswer::Status { status: x, took: t }, HttpAnswer::Status { status: y, took: u }) => {
            (x / 100 == y / 100).then_some(HttpAnswer::Status { status: y, took: t.max(u) })
        }
        (HttpAnswer::NotHttp, HttpAnswer::NotHttp) => Some(HttpAnswer::NotHttp),
        _ => None,
    }
}

/// Why a target is not in a state to be judged.
fn unfit(look: &Observation, expected: &[String]) -> Option<String> {
    if look.state != TargetState::Running {
        return Some(not_running(look));
    }
    if look.health == Health::Unhealthy {
        return Some("its healthcheck says unhealthy".into());
    }
    bad_checks(look, expected)
}

fn not_running(look: &Observation) -> String {
    match (look.state, look.exit_code) {
        (TargetState::Restarting, Some(code)) => format!("it is restarting, last exit code {code}"),
        (TargetState::Restarting, None) => "it is restarting".into(),
        (TargetState::Paused, _) => "it is paused".into(),
        (_, Some(code)) => format!("it exited with code {code}"),
        (_, None) => "it is not running".into(),
    }
}

/// A named check that is not good, or that nobody answered.
fn bad_checks(look: &Observation, expected: &[String]) -> Option<String> {
    let bad = look.checks.iter().find(|(_, answer)| !answer.good);
    bad.map(|(name, answer)| format!("check '{name}': {}", answer.detail)).or_else(|| {
        let missing = expected.iter().find(|name| !look.checks.contains_key(*name))?;
        Some(format!("check '{missing}' was not answered"))
    })
}

fn names(checks: &[Check]) -> Vec<String> {
    checks.iter().map(|check| check.name.clone()).collect()
}

/// What the looks so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    /// Good for long enough.
    Green {
        /// The first good look.
        first_good: Timestamp,
    },
    /// Bad.
    Bad(Failure),
}

/// Judges looks after a patch, or after the way back, one by one.
#[derive(Debug, Clone)]
pub struct Judge {
    baseline: Baseline,
    expected_checks: Vec<String>,
    verify_for: Duration,
    healthy: Duration,
    began: Timestamp,
    first_good: Option<Timestamp>,
    bad_in_a_row: u32,
    life: Option<(String, u64)>,
    patient: bool,
}

impl Judge {
    /// A judge for one object, from now on.
    #[must_use]
    pub fn new(action: &Action, baseline: Baseline, verify_for: Millis, now: Timestamp) -> Self {
        Self {
            baseline,
            expected_checks: names(&action.checks),
            verify_for: verify_for.as_duration(),
            healthy: action.timeouts.healthy.as_duration(),
            began: now,
            first_good: None,
            bad_in_a_row: 0,
            life: None,
            patient: false,
        }
    }

    /// A judge of what is known to be good, on the way back: on a busy host its healthcheck may say
    /// unhealthy first and healthy later, and until then there is nothing better to go to.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Takes a look in. `Err` is a look that could not be taken: it counts as bad.
    pub fn look(&mut self, look: Result<&Observation, String>, now: Timestamp) -> Verdict {
        let look = match look {
            Ok(look) => look,
            Err(reason) => return self.judge(Some(format!("cannot look at it: {reason}")), None, now),
        };
        if let Some(fact) = self.hard_fact(look) {
            return Verdict::Bad(Failure::new(FailureKind::Check, self.after(&fact, now)));
        }
        self.life = Some((look.started_at.clone(), look.restarts));
        self.judge(self.complaint(look), look.health_within, now)
    }

    fn judge(&mut self, complaint: Option<String>, health_within: Option<Millis>, now: Timestamp) -> Verdict {
        match (complaint, self.first_good) {
            (None, first_good) => {
                self.bad_in_a_row = 0;
                let first_good = *self.first_good.insert(first_good.unwrap_or(now));
                if since(first_good, now) >= self.verify_for {
                    return Verdict::Green { first_good };
                }
                Verdict::Wait
            }
            (Some(complaint), Some(_)) => {
                self.bad_in_a_row += 1;
                if self.bad_in_a_row < BAD_LOOKS {
                    return Verdict::Wait;
                }
                Verdict::Bad(Failure::new(FailureKind::Check, self.after(&complaint, now)))
            }
            (Some(complaint), None) => {
                let limit = self.healthy.max(health_within.unwrap_or_default().as_duration());
                if since(self.began, now) < limit {
                    return Verdict::Wait;
                }
                let message = format!("not good within {}: {complaint}", Millis::from(limit));
                Verdict::Bad(Failure::new(FailureKind::Check, message))
            }
        }
    }

    fn after(&self, fact: &str, now: Timestamp) -> String {
        format!("{fact} (after {})", Millis::from(since(self.began, now)))
    }

    /// Facts that need no second look.
    fn hard_fact(&self, look: &Observation) -> Option<String> {
        if matches!(look.state, TargetState::Exited | TargetState::Dead | TargetState::Restarting) {
            return Some(not_running(look));
        }
        if look.health == Health::Unhealthy && !self.patient {
            return Some("its healthcheck says unhealthy".into());
        }
        let restarted = match &self.life {
            Some((started_at, restarts)) => *started_at != look.started_at || *restarts < look.restarts,
            // An original may have been restarted in its life; a replacement had none before.
            None => look.restarts > 0 && !self.patient,
        };
        restarted.then(|| "it restarted".into())
    }

    /// What is not good now, if anything.
    fn complaint(&self, look: &Observation) -> Option<String> {
        if look.state != TargetState::Running {
            return Some(not_running(look));
        }
        if look.health == Health::Unhealthy {
            return Some("its healthcheck says unhealthy".into());
        }
        if self.baseline.healthcheck && look.health != Health::Healthy {
            return Some("its healthcheck has not answered yet".into());
        }
        if look.health == Health::Starting {
            return Some("its healthcheck is still starting".into());
        }
        self.not_listening(look)
            .or_else(|| self.not_running_any_more(look))
            .or_else(|| self.unit_failed(look))
            .or_else(|| self.part_gone(look))
            .or_else(|| self.http_worse(look))
            .or_else(|| bad_checks(look, &self.expected_checks))
    }

    fn not_listening(&self, look: &Observation) -> Option<String> {
        if self.baseline.listening.is_empty() {
            return None;
        }
        let Some(listening) = &look.listening else { return Some("cannot see what listens".into()) };
        let missing: Vec<String> =
            self.baseline.listening.difference(listening).map(|socket| format!(":{}", socket.port)).collect();
        (!missing.is_empty()).then(|| format!("{} does not listen any more", missing.join(", ")))
    }

    fn not_running_any_more(&self, look: &Observation) -> Option<String> {
        if self.baseline.processes.is_empty() {
            return None;
        }
        let Some(processes) = &look.processes else { return Some("cannot see what runs".into()) };
        let missing = self.baseline.processes.iter().find(|name| !processes.contains_key(*name))?;
        Some(format!("process '{missing}' does not run any more"))
    }

    fn unit_failed(&self, look: &Observation) -> Option<String> {
        let failed = look.failed_units.difference(self.baseline.failed_units.as_ref()?).next()?;
        Some(format!("{failed} has failed"))
    }

    fn part_gone(&self, look: &Observation) -> Option<String> {
        let gone: Vec<&str> = self.baseline.parts.difference(&look.parts).map(String::as_str).collect();
        match gone[..] {
            [] => None,
            [one] => Some(format!("{one} is gone")),
            [first, second] => Some(format!("{first} and {second} are gone")),
            [first, second, ..] => Some(format!("{first}, {second} and {} more are gone", gone.len() - 2)),
        }
    }

    fn http_worse(&self, look: &Observation) -> Option<String> {
        self.baseline.http.iter().find_map(|(port, before)| match (before, look.http.get(port)) {
            (HttpAnswer::Status { status: was, took: then }, Some(HttpAnswer::Status { status, took })) => {
                if was / 100 != status / 100 {
                    return Some(format!(":{port} answers {status}, was {was}"));
                }
                (took.0 > then.0 * SLOWER.0 + SLOWER.1)
                    .then(|| format!(":{port} takes {took}, took {then} before"))
            }
            (HttpAnswer::Status { status: was, .. }, Some(HttpAnswer::NotHttp)) => {
                Some(format!(":{port} does not speak HTTP any more, answered {was}"))
            }
            (_, None | Some(HttpAnswer::Silent)) => Some(format!(":{port} does not answer")),
            (HttpAnswer::NotHttp | HttpAnswer::Silent, Some(_)) => None,
        })
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use patchyard_types::{CheckKind, Socket};

    use super::*;
    use crate::run::tests_support::action;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    fn look(ms: i64) -> Observation {
        Observation {
            at: at(ms),
            state: TargetState::Running,
            started_at: "t0".into(),
            restarts: 0,
            exit_code: None,
            health: Health::None,
            health_within: None,
            listening: Some(BTreeSet::from([Socket { protocol: Protocol::Tcp, port: 25, loopback: false }])),
            processes: Some([("master".to_owned(), 1), ("sleep".to_owned(), 1)].into()),
            lasting: ["master".to_owned()].into(),
            http: [(80, HttpAnswer::Status { status: 200, took: Millis(10) })].into(),
            parts: ["service web.service".to_owned()].into(),
            failed_units: ["old.service".to_owned()].into(),
            checks: BTreeMap::new(),
        }
    }

    fn baseline() -> Baseline {
        match before(&action(), &look(0), &look(1000)) {
            Before::Good(baseline) => baseline,
            other => panic!("{other:?}"),
        }
    }

    fn judge() -> Judge {
        Judge::new(&action(), baseline(), Millis::from_secs(30), at(0))
    }

    fn bad(verdict: Verdict) -> String {
        match verdict {
            Verdict::Bad(failure) => failure.message,
            other => panic!("expected bad, got {other:?}"),
        }
    }

    #[test]
    fn only_what_is_stable_becomes_the_baseline() {
        let mut second = look(1000);
        second.listening = Some(BTreeSet::new());
        second.http.insert(80, HttpAnswer::Status { status: 404, took: Millis(1) });
        let Before::Good(baseline) = before(&action(), &look(0), &second) else { panic!() };
        assert!(baseline.listening.is_empty() && baseline.http.is_empty());
        assert_eq!(baseline.processes, BTreeSet::from(["master".to_owned()]));
    }

    #[test]
    fn an_unhealthy_target_is_not_judged_but_skipped() {
        let sick = Observation { health: Health::Unhealthy, ..look(0) };
        let Before::Bad(failure) = before(&action(), &look(0), &sick) else { panic!() };
        assert_eq!(failure.kind, FailureKind::Precondition);
    }

    #[test]
    fn a_check_that_nobody_answers_beforehand_is_no_reason_to_stop_a_target() {
        let check = Check { name: "health".into(), kind: CheckKind::Tcp { port: 25 } };
        let action = Action { checks: vec![check], ..action() };
        let Before::Bad(failure) = before(&action, &look(0), &look(1000)) else { panic!() };
        assert_eq!(failure.kind, FailureKind::Precondition);
        assert!(failure.message.ends_with("check 'health' was not answered"), "{}", failure.message);
    }

    #[test]
    fn good_for_verify_for_is_green_and_not_before() {
        let mut judge = judge();
        assert_eq!(judge.look(Ok(&look(1000)), at(1000)), Verdict::Wait);
        assert_eq!(judge.look(Ok(&look(30_999)), at(30_999)), Verdict::Wait);
        assert_eq!(judge.look(Ok(&look(31_000)), at(31_000)), Verdict::Green { first_good: at(1000) });
    }

    #[test]
    fn a_failure_after_twenty_good_seconds_is_noticed() {
        let mut judge = judge();
        for second in 1..20 {
            assert_eq!(judge.look(Ok(&look(0)), at(second * 1000)), Verdict::Wait);
        }
        let dead = Observation { state: TargetState::Exited, exit_code: Some(1), ..look(0) };
        assert_eq!(bad(judge.look(Ok(&dead), at(20_000))), "it exited with code 1 (after 20 s)");
    }

    #[test]
    fn a_restart_between_two_looks_counts() {
        let mut judge = judge();
        let _ = judge.look(Ok(&look(0)), at(1000));
        let reborn = Observation { started_at: "t1".into(), ..look(0) };
        assert!(bad(judge.look(Ok(&reborn), at(2000))).starts_with("it restarted"));
    }

    #[test]
    fn one_late_answer_is_forgiven_two_are_not() {
        let silent = Observation { http: [(80, HttpAnswer::Silent)].into(), ..look(0) };
        let mut judge = judge();
        let _ = judge.look(Ok(&look(0)), at(1000));
        assert_eq!(judge.look(Ok(&silent), at(2000)), Verdict::Wait);
        assert_eq!(judge.look(Ok(&look(0)), at(3000)), Verdict::Wait);
        assert_eq!(judge.look(Ok(&silent), at(4000)), Verdict::Wait);
        assert!(bad(judge.look(Ok(&silent), at(5000))).contains(":80 does not answer"));
    }

    #[test]
    fn what_never_listens_fails_when_its_time_is_over() {
        let deaf = Observation { listening: Some(BTreeSet::new()), ..look(0) };
        let mut judge = judge();
        assert_eq!(judge.look(Ok(&deaf), at(59_000)), Verdict::Wait);
        assert_eq!(
            bad(judge.look(Ok(&deaf), at(60_000))),
            "not good within 60 s: :25 does not listen any more"
        );
    }

    #[test]
    fn a_slow_healthcheck_gets_its_own_time_and_no_more() {
        let starting =
            Observation { health: Health::Starting, health_within: Some(Millis::from_secs(300)), ..look(0) };
        let mut judge = judge();
        assert_eq!(judge.look(Ok(&starting), at(299_000)), Verdict::Wait);
        assert!(bad(judge.look(Ok(&starting), at(300_000))).contains("healthcheck is still starting"));
    }

    #[test]
    fn what_is_known_to_be_good_is_given_its_time_to_recover() {
        let unhealthy = |ms| Observation { health: Health::Unhealthy, ..look(ms) };
        assert!(bad(judge().look(Ok(&unhealthy(0)), at(0))).contains("unhealthy"));
        // Nor does it matter how often it was restarted before: only whether it is now.
        let restarts = |seconds, restarts| Observation { restarts, ..look(seconds) };
        let mut patient = judge().patient();
        assert_eq!(patient.look(Ok(&restarts(0, 3)), at(0)), Verdict::Wait);
        assert!(matches!(patient.look(Ok(&restarts(5_000, 4)), at(5_000)), Verdict::Bad(_)));

        let mut patient = judge().patient();
        assert_eq!(patient.look(Ok(&unhealthy(0)), at(0)), Verdict::Wait);
        assert_eq!(patient.look(Ok(&look(5_000)), at(5_000)), Verdict::Wait);
        assert!(matches!(patient.look(Ok(&look(60_000)), at(60_000)), Verdict::Green { .. }));
        let mut patient = judge().patient();
        assert_eq!(patient.look(Ok(&unhealthy(0)), at(0)), Verdict::Wait);
        assert!(bad(patient.look(Ok(&unhealthy(600_000)), at(600_000))).contains("unhealthy"));
    }

    #[test]
    fn what_cannot_be_looked_at_is_bad() {
        let mut judge = judge();
        let _ = judge.look(Ok(&look(0)), at(1000));
        assert_eq!(judge.look(Err("engine gone".into()), at(2000)), Verdict::Wait);
        assert!(bad(judge.look(Err("engine gone".into()), at(3000))).contains("engine gone"));
    }

    #[test]
    fn another_status_class_or_a_wildly_slower_answer_is_bad() {
        for (answer, words) in [
            (HttpAnswer::Status { status: 500, took: Millis(10) }, "answers 500, was 200"),
            (HttpAnswer::Status { status: 200, took: Millis(5000) }, "took 0.0 s before"),
            (HttpAnswer::NotHttp, "does not speak HTTP any more"),
        ] {
            let mut judge = judge();
            let _ = judge.look(Ok(&look(0)), at(0));
            let worse = Observation { http: [(80, answer)].into(), ..look(0) };
            let _ = judge.look(Ok(&worse), at(1000));
            assert!(bad(judge.look(Ok(&worse), at(2000))).contains(words), "{words}");
        }
    }

    #[test]
    fn a_service_of_a_machine_that_is_gone_is_bad() {
        let mut judge = judge();
        let less = |ms| Observation { parts: BTreeSet::new(), ..look(ms) };
        judge.look(Ok(&look(0)), at(0));
        judge.look(Ok(&less(500)), at(500));
        assert!(bad(judge.look(Ok(&less(1000)), at(1000))).contains("service web.service is gone"));
    }

    #[test]
    fn a_unit_that_has_failed_is_bad_unless_it_had_before() {
        let failed = |units: &[&str], ms| Observation {
            failed_units: units.iter().map(|&unit| unit.to_owned()).collect(),
            ..look(ms)
        };
        let mut judge = judge();
        judge.look(Ok(&failed(&[], 0)), at(0));
        judge.look(Ok(&failed(&["old.service"], 500)), at(500));
        let both = ["new.service", "old.service"];
        judge.look(Ok(&failed(&both, 1000)), at(1000));
        assert!(bad(judge.look(Ok(&failed(&both, 1500)), at(1500))).contains("new.service has failed"));
    }

    #[test]
    fn a_baseline_that_says_nothing_of_failed_units_holds_none_against_anybody() {
        let mut judge = Judge { baseline: Baseline { failed_units: None, ..baseline() }, ..judge() };
        for ms in [0, 500, 1000] {
            assert!(matches!(judge.look(Ok(&look(ms)), at(ms)), Verdict::Wait));
        }
    }
}
