//! As much of OpenWrt's configuration language as a firewall rule needs.

use std::collections::BTreeMap;

/// The `config rule` sections, each with its options; anything else is an error.
pub fn rules(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut rules: Vec<BTreeMap<&str, &str>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "config rule" {
            rules.push(BTreeMap::new());
            continue;
        }
        let option = line
            .strip_prefix("option ")
            .and_then(|rest| rest.split_once(' '))
            .and_then(|(name, value)| {
                let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
                (!value.contains('\'')).then_some((name, value))
            });
        let Some((name, value)) = option else {
            panic!("that is not UCI: {line}")
        };
        let last = rules
            .last_mut()
            .expect("an option before the first section");
        assert!(last.insert(name, value).is_none(), "{name} is given twice");
    }
    rules
}
