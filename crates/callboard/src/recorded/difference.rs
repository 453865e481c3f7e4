//! What is different between the drivers of two runs of one recording.

use std::collections::BTreeSet;

use event::{Change, ProcessId};

use super::answers::{Answers, Driver, Refusal, microseconds, named};

/// How many calls are enough to say that a routine is slower.
const ENOUGH: u64 = 100;
/// What nobody would notice, in nanoseconds.
const NOTICEABLE: u64 = 250;

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) change: Change,
    /// 0 where it is about none.
    pub(super) process: ProcessId,
    pub(super) text: String,
}

/// What is different on one machine.
pub(super) fn on_machine(new: &Answers, old: &Answers) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |change, process, text| found.push(Difference { change, process, text });
    for (key, refusal) in &new.refusals {
        match old.refusals.get(key) {
            None => add(
                Change::RefusalNew,
                key.1,
                format!("{} is {}, and was not before", image(refusal), refused(refusal)),
            ),
            Some(before) if before.status != refusal.status => {
                let text =
                    format!("{} is {}, and was {} before", image(refusal), refused(refusal), refused(before));
                add(Change::RefusalOther, key.1, text);
            }
            Some(_) => {}
        }
    }
    for (key, refusal) in old.refusals.iter().filter(|(key, _)| !new.refusals.contains_key(key)) {
        let text = format!("{} is not refused any more, and was {} before", image(refusal), refused(refusal));
        add(Change::RefusalGone, key.1, text);
    }
    for place in 0..new.drivers.len().max(old.drivers.len()) {
        let (now, before) = (new.drivers.get(place), old.drivers.get(place));
        for rule in rules(now).difference(&rules(before)) {
            let text = format!("{} breaks {rule}, which was not broken before", name(now));
            add(Change::FindingNew, ProcessId::IDLE, text);
        }
        for rule in rules(before).difference(&rules(now)) {
            let text = format!("{rule} is not broken any more, and was before by {}", name(before));
            add(Change::FindingGone, ProcessId::IDLE, text);
        }
    }
    match (&new.stopped, &old.stopped) {
        (Some(why), None) => {
            add(Change::StopNew, ProcessId::IDLE, format!("the machine stops, and did not before: {why}"));
        }
        (None, Some(why)) => {
            add(
                Change::StopGone,
                ProcessId::IDLE,
                format!("the machine does not stop any more, and did before: {why}"),
            );
        }
        _ => {}
    }
    found
}

fn image(refusal: &Refusal) -> &str {
    if refusal.image.is_empty() { "a process without a name" } else { &refusal.image }
}

fn refused(Refusal { status, driver, .. }: &Refusal) -> String {
    let by = if driver.is_empty() { String::new() } else { format!(" by {driver}") };
    format!("refused{by} with {}", named(*status))
}

fn rules(driver: Option<&Driver>) -> BTreeSet<&str> {
    driver.into_iter().flat_map(|driver| driver.findings.keys()).map(String::as_str).collect()
}

fn name(driver: Option<&Driver>) -> &str {
    driver.map_or("", |driver| &driver.name)
}

/// The routines that take so many times as long as before, half of the time.
pub(super) fn slower(new: &Answers, old: &Answers, times: f64) -> Vec<String> {
    let mut found = Vec::new();
    for (now, before) in new.drivers.iter().zip(&old.drivers) {
        for (kind, calls) in &now.notices {
            let Some(earlier) = before.notices.get(kind) else { continue };
            let (half, was) = (calls.percentile(50), earlier.percentile(50));
            let enough = calls.calls().min(earlier.calls()) >= ENOUGH;
            if enough && half >= was + NOTICEABLE && is_more(half, was, times) {
                found.push(format!(
                    "{}, {kind}: half within {}, and was {} before",
                    now.name,
                    microseconds(half),
                    microseconds(was)
                ));
            }
        }
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "times of calls are far below 2^53 ns, which is 104 days")]
fn is_more(now: u64, before: u64, times: f64) -> bool {
    now as f64 >= before as f64 * times
}

#[cfg(test)]
mod tests {
    use event::Time;
    use nt_abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_ACCESS_VIOLATION};

    use super::*;

    fn answers(refusals: &[(i64, u32, NTSTATUS)], rules: &[&str], took: u64) -> Answers {
        let mut driver = Driver::default();
        driver.name = "edr".into();
        driver.findings = rules.iter().map(|rule| ((*rule).to_owned(), 1)).collect();
        (0..ENOUGH).for_each(|_| driver.notices.entry("image").or_default().add(took));
        let refusal = |status| Refusal { status, image: r"C:\evil.exe".into(), driver: "edr".into() };
        let mut answers = Answers::default();
        answers.drivers.push(driver);
        answers.refusals =
            refusals.iter().map(|(at, id, status)| ((Time(*at), ProcessId(*id)), refusal(*status))).collect();
        answers
    }

    #[test]
    fn each_difference_is_found_and_equal_runs_have_none() {
        let old =
            answers(&[(1, 8, STATUS_ACCESS_DENIED), (2, 12, STATUS_ACCESS_DENIED)], &["L-01", "L-02"], 500);
        // The second 8 is another process.
        let new =
            answers(&[(1, 8, STATUS_ACCESS_VIOLATION), (9, 8, STATUS_ACCESS_DENIED)], &["L-02", "L-03"], 500);
        let found = on_machine(&new, &old);
        let changes: Vec<_> = found.iter().map(|it| (it.change, it.process.0)).collect();
        let expected = [
            (Change::RefusalOther, 8),
            (Change::RefusalNew, 8),
            (Change::RefusalGone, 12),
            (Change::FindingNew, 0),
            (Change::FindingGone, 0),
        ];
        assert_eq!(changes, expected);
        assert!(
            found[1].text.starts_with(r"C:\evil.exe is refused by edr with 0xC0000022"),
            "{}",
            found[1].text
        );
        assert_eq!(on_machine(&old, &old), []);
        let mut stopped = answers(&[], &[], 1);
        stopped.stopped = Some("0x50".into());
        assert_eq!(on_machine(&stopped, &answers(&[], &[], 1))[0].change, Change::StopNew);
        assert_eq!(on_machine(&answers(&[], &[], 1), &stopped)[0].change, Change::StopGone);
    }

    #[test]
    fn slower_is_what_somebody_would_notice() {
        let (old, new) = (answers(&[], &[], 1000), answers(&[], &[], 2000));
        assert_eq!(slower(&new, &old, 1.5).len(), 1);
        assert_eq!(slower(&new, &old, 3.0).len(), 0, "not so many times");
        assert_eq!(slower(&old, &new, 1.5).len(), 0, "faster");
        assert_eq!(
            slower(&answers(&[], &[], 200), &answers(&[], &[], 100), 1.5).len(),
            0,
            "a tenth of a microsecond"
        );
    }
}
