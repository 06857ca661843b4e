//! Whether a host's CAA records let one of our authorities issue to our account by our challenge (RFC 8659, RFC 8657).
//!
//! Pure. hubgate's own certificates name no wildcard, so that `issuewild` is said not to count.
#![deny(clippy::disallowed_methods)]

use super::ca::Identity;
use super::dns::CaaRecord;
use super::{Finding, Level};

/// Tags that authorities know.
const KNOWN: [&str; 7] = [
    "issue",
    "issuewild",
    "issuemail",
    "issuevmc",
    "iodef",
    "contactemail",
    "contactphone",
];

/// Judges the records that count for `name`; `None` where there is nothing to say.
pub(super) fn judge(name: &str, records: &[CaaRecord], ours: &[Identity]) -> Option<Finding> {
    let broken = |found: String, fix: String| Some(Finding::of(Level::Broken, name, found, fix));
    let unknown = records
        .iter()
        .find(|record| record.critical && !KNOWN.contains(&&*record.tag));
    if let Some(record) = unknown {
        let found = format!(
            "a CAA record has the critical tag `{}`, which authorities do not know",
            record.tag
        );
        let fix = "authorities must refuse then: remove the record or its flag 128".to_owned();
        return broken(found, fix);
    }
    let issue: Vec<Allowed<'_>> = records
        .iter()
        .filter(|record| record.tag == "issue")
        .map(|record| Allowed::read(&record.value))
        .collect();
    let known: Vec<&Identity> = ours.iter().filter(|one| !one.names.is_empty()).collect();
    let first = known.first()?;
    if issue.is_empty() {
        let only_wild = records.iter().any(|record| record.tag == "issuewild");
        return only_wild.then(|| {
            let found = "CAA has `issuewild` and no `issue`, which binds wildcards only";
            Finding::fine(name, found)
        });
    }
    let own_name = first.names.first().map_or("", String::as_str);
    let named = |ours: &&&Identity| {
        issue.iter().any(|one| {
            ours.names
                .iter()
                .any(|own| own.eq_ignore_ascii_case(one.authority))
        })
    };
    let Some(ours) = known.iter().find(named) else {
        let list: Vec<_> = issue.iter().map(|one| one.authority).collect();
        let found = match list.iter().all(|one| one.is_empty()) {
            true => "CAA records forbid every authority to issue".to_owned(),
            false => format!("CAA records allow only {}", list.join(", ")),
        };
        return broken(found, format!("add a CAA record `0 issue \"{own_name}\"`"));
    };
    let mut faults = Vec::new();
    for one in &issue {
        if !ours
            .names
            .iter()
            .any(|own| own.eq_ignore_ascii_case(one.authority))
        {
            continue;
        }
        match one.fault(ours) {
            None => return Some(Finding::fine(name, "CAA allows the authority")),
            Some(fault) => faults.push(fault),
        }
    }
    let mut record = format!(
        "0 issue \"{}",
        ours.names.first().map_or("", String::as_str)
    );
    if let Some(account) = &ours.account {
        record.push_str(&format!("; accounturi={account}"));
    }
    let found = format!("CAA names the authority, but {}", faults.join("; "));
    broken(found, format!("add a CAA record `{record}\"`"))
}

/// One `issue` record: who, and under which conditions.
struct Allowed<'a> {
    authority: &'a str,
    account: Option<&'a str>,
    methods: Option<&'a str>,
}

impl<'a> Allowed<'a> {
    fn read(value: &'a str) -> Self {
        let mut parts = value.split(';').map(str::trim);
        let authority = parts.next().unwrap_or_default();
        let (mut account, mut methods) = (None, None);
        for (tag, value) in parts.filter_map(|part| part.split_once('=')) {
            match tag.trim().to_ascii_lowercase().as_str() {
                "accounturi" => account = Some(value.trim()),
                "validationmethods" => methods = Some(value.trim()),
                _ => {}
            }
        }
        Self {
            authority,
            account,
            methods,
        }
    }

    /// Why the authority may not issue to us by this record.
    fn fault(&self, ours: &Identity) -> Option<String> {
        if let Some(account) = self.account
            && ours.account.as_deref() != Some(account)
        {
            let own = ours.account.as_deref().unwrap_or("not registered yet");
            return Some(format!(
                "only for the account {account}, and hubgate's is {own}"
            ));
        }
        let methods = self.methods?;
        let has = methods
            .split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(ours.method));
        (!has).then(|| format!("only by {methods}, and hubgate uses {}", ours.method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Identity {
        Identity {
            names: vec!["ca.test".to_owned()],
            account: Some("https://ca.test/acct/1".to_owned()),
            method: "http-01",
        }
    }

    fn level(records: &[(&str, &str)]) -> Option<Level> {
        let records: Vec<_> = records
            .iter()
            .map(|(tag, value)| CaaRecord {
                critical: tag.starts_with('!'),
                tag: tag.trim_start_matches('!').to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        Some(judge("hub.test", &records, &[ours()])?.level)
    }

    #[test]
    fn an_authority_is_allowed_by_name_account_and_method() {
        let fine = Some(Level::Fine);
        assert_eq!(level(&[]), None);
        assert_eq!(level(&[("issue", "CA.test")]), fine);
        assert_eq!(
            level(&[("issue", "ca.test; validationmethods=dns-01,HTTP-01")]),
            fine
        );
        let account = "ca.test; accounturi=https://ca.test/acct/1";
        assert_eq!(level(&[("issue", account)]), fine);
        assert_eq!(
            level(&[("issue", "other.test"), ("issue", "ca.test")]),
            fine
        );
        assert_eq!(level(&[("issuewild", ";")]), fine, "binds wildcards only");
        assert_eq!(level(&[("iodef", "mailto:x@hub.test")]), None);
    }

    #[test]
    fn another_account_method_or_authority_and_unknown_critical_tags_forbid_it() {
        let broken = Some(Level::Broken);
        for value in [
            "other.test",
            ";",
            "ca.test; accounturi=https://ca.test/acct/2",
            "ca.test; validationmethods=dns-01",
        ] {
            assert_eq!(level(&[("issue", value)]), broken, "{value}");
        }
        assert_eq!(level(&[("!tbs", "x"), ("issue", "ca.test")]), broken);
    }
}
