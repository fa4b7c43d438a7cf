//! Joins the reports of shards into that of one run, bit for bit but for the time that it took.

use super::{Report, Shard, Timing};

/// Why reports do not join.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MergeError {
    /// Nothing to join.
    #[error("no report to merge; give those of all shards")]
    Nothing,
    /// A report of all images.
    #[error("{report} is not the report of a shard; merge what `temper audit --shard` wrote")]
    NoShard {
        /// The report.
        report: String,
    },
    /// The reports of different audits.
    #[error("{report} and {first} differ in {what}; merge the shards of one audit")]
    Differs {
        /// The report.
        report: String,
        /// The first one.
        first: String,
        /// In what.
        what: String,
    },
    /// A shard given twice.
    #[error("{report} is of shard {shard}, and so is {other}; give each once")]
    Twice {
        /// The report.
        report: String,
        /// The one before it.
        other: String,
        /// The shard.
        shard: String,
    },
    /// A shard left out.
    #[error("of shards {} the report is missing; give those of all {of} shards", missing.join(", "))]
    Missing {
        /// The shards.
        missing: Vec<String>,
        /// How many there are.
        of: usize,
    },
}

/// The report of the whole audit, from those of its shards with the names of their files, in any order.
///
/// # Errors
/// Reports that are not the shards of one audit, each once. Where machines disagree about a gradient,
/// the worse verdict is kept.
pub fn merge(mut shards: Vec<(String, Report)>) -> Result<Report, MergeError> {
    let of = complete(&shards)?;
    // Whatever the order they were given in.
    shards.sort_by_key(|(_, report)| shard_of(report).map_or(of, |(index, _)| index));
    let mut shards = shards.into_iter();
    let Some((first_name, mut whole)) = shards.next() else { return Err(MergeError::Nothing) };
    whole.settings.shard = None;
    for (name, mut report) in shards {
        report.settings.shard = None;
        if let Some(what) = difference(&whole, &report) {
            return Err(MergeError::Differs { report: name, first: first_name, what });
        }
        absorb(&mut whole, report);
    }
    whole.conclude();
    Ok(whole)
}

/// The shard that a report is of, and of how many.
fn shard_of(report: &Report) -> Option<(usize, usize)> {
    let shard: Shard = report.settings.shard.as_deref()?.parse().ok()?;
    Some((shard.index(), shard.of()))
}

/// Checks that every shard is there once; gives how many there are.
fn complete(shards: &[(String, Report)]) -> Result<usize, MergeError> {
    let mut seen: Vec<(usize, &str)> = Vec::with_capacity(shards.len());
    let mut all = None;
    for (name, report) in shards {
        let (index, of) = shard_of(report).ok_or_else(|| MergeError::NoShard { report: name.clone() })?;
        let (expected, first) = *all.get_or_insert((of, name));
        if of != expected {
            let what = format!("how many shards there are, {of} and {expected}");
            return Err(MergeError::Differs { report: name.clone(), first: first.clone(), what });
        }
        if let Some((_, other)) = seen.iter().find(|(seen, _)| *seen == index) {
            let (report, other) = (name.clone(), (*other).to_owned());
            return Err(MergeError::Twice { report, other, shard: format!("{index}/{of}") });
        }
        seen.push((index, name));
    }
    let (of, _) = all.ok_or(MergeError::Nothing)?;
    let there = |index: &usize| seen.iter().any(|(seen, _)| seen == index);
    // As many as a person can read: a file may claim any number.
    let missing: Vec<String> =
        (1..=of).filter(|index| !there(index)).take(20).map(|index| format!("{index}/{of}")).collect();
    if missing.is_empty() { Ok(of) } else { Err(MergeError::Missing { missing, of }) }
}

/// What two shards of one audit would agree on, and these do not.
fn difference(a: &Report, b: &Report) -> Option<String> {
    let models = |report: &Report| -> Vec<(String, String)> {
        report.models.iter().map(|model| (model.name.clone(), model.sha256.clone())).collect()
    };
    let parts = [
        (a.schema == b.schema && a.temper == b.temper, "the temper that wrote them"),
        (a.settings == b.settings, "what was asked for (`settings`)"),
        (
            a.runtimes == b.runtimes && a.lost_runtimes == b.lost_runtimes,
            "their runtimes or the versions of these",
        ),
        (models(a) == models(b), "their models"),
        (a.images == b.images, "their images"),
    ];
    parts.into_iter().find(|(same, _)| !same).map(|(_, what)| what.to_owned())
}

fn absorb(whole: &mut Report, part: Report) {
    whole.measured.join(part.measured);
    let Timing { seconds, cached_seconds, inside_runtimes, gradient_steps, forward_runs, peak_memory } =
        part.timing;
    let timing = &mut whole.timing;
    timing.seconds += seconds;
    timing.cached_seconds += cached_seconds;
    timing.inside_runtimes += inside_runtimes;
    timing.gradient_steps += gradient_steps;
    timing.forward_runs += forward_runs;
    timing.peak_memory = timing.peak_memory.max(peak_memory);
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    /// The rows of one image, as a shard would have them.
    fn shard(index: usize, image: &str) -> (String, Report) {
        let mut part = report();
        part.settings.shard = Some(format!("{index}/2"));
        part.measured.rows.retain(|row| row.image == image);
        part.measured.clean.retain(|clean| clean.image == image);
        part.conclude();
        (format!("{index}.json"), part)
    }

    fn json(report: &Report) -> serde_json::Value {
        let mut json = serde_json::to_value(report).unwrap();
        json["timing"] = serde_json::Value::Null;
        json
    }

    #[test]
    fn shards_in_any_order_give_the_report_of_one_run() {
        let mut whole = report();
        whole.conclude();
        let joined = merge(vec![shard(2, "b.png"), shard(1, "a.png")]).unwrap();
        assert_eq!(json(&joined), json(&whole));
    }

    #[test]
    fn a_report_is_read_back_to_the_last_bit() {
        let mut whole = report();
        // A number that a careless parser takes for its neighbour.
        whole.measured.rows[0].sr_psnr = 0.1 + 0.2;
        whole.measured.rows[1].sr_psnr = 31.245_270_191_439_438;
        whole.conclude();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        whole.write(&path).unwrap();
        let bits = |report: &Report| -> Vec<u64> {
            report
                .measured
                .rows
                .iter()
                .flat_map(|row| [row.sr_psnr.to_bits(), row.budget.to_bits()])
                .collect()
        };
        let read = Report::read(&path).unwrap();
        assert_eq!(bits(&read), bits(&whole));
        assert_eq!(json(&read), json(&whole));
        std::fs::write(&path, "{\"schema\": 1}").unwrap();
        let message = Report::read(&path).unwrap_err().to_string();
        assert!(message.contains("is no report of `temper audit`: missing field"), "{message}");
    }

    #[test]
    fn what_is_no_set_of_shards_is_refused_by_name() {
        let refused = |shards| merge(shards).unwrap_err().to_string();
        assert!(refused(vec![]).contains("no report"));
        assert!(refused(vec![shard(1, "a.png")]).contains("of shards 2/2 the report is missing"));
        let twice = refused(vec![shard(1, "a.png"), shard(1, "b.png")]);
        assert!(twice.contains("is of shard 1/2, and so is 1.json"), "{twice}");
        let mut other = shard(2, "b.png");
        other.1.settings.seed = 1;
        assert!(
            refused(vec![shard(1, "a.png"), other]).contains("2.json and 1.json differ in what was asked")
        );
        assert!(refused(vec![("x".into(), report())]).contains("x is not the report of a shard"));
        let mut odd = shard(1, "a.png");
        odd.1.settings.shard = Some("3/2".into());
        assert!(refused(vec![odd]).contains("not the report of a shard"));
        let mut endless = shard(1, "a.png");
        endless.1.settings.shard = Some(format!("1/{}", usize::MAX));
        assert!(refused(vec![endless]).contains("missing"));
    }
}
