//! Every key with its effective value and the source of that value: a line of the file, or the
//! default.

use toml::de::{DeTable, DeValue};

use crate::azure::PrivateLinkTable;
use crate::key::{AnyKey, KeyPresence, KeySection, SectionForm};
use crate::keys;
use crate::model::EffectiveSetting;
use crate::problems::ConfigProblems;

/// Keys whose values are never shown.
const SECRET: &[(&str, &str)] = &[("key", "secret")];

/// Returns all keys of a valid file, section by section. Sections that are lists have one entry per
/// table of the file.
pub(crate) fn settings(
    document: &DeTable<'_>,
    text: &str,
    azure: &PrivateLinkTable,
    problems: &ConfigProblems<'_>,
) -> Vec<EffectiveSetting> {
    let mut settings = Vec::new();
    for section in keys::SECTIONS {
        let value = document.get(section.name).map(|value| value.get_ref());
        match (section.form, value) {
            (SectionForm::List, Some(DeValue::Array(tables))) => {
                for (index, item) in tables.iter().enumerate() {
                    let DeValue::Table(table) = item.get_ref() else { continue };
                    let name = ["name", "preset", "zone"].iter().find_map(|key| table.get(*key)?.get_ref().as_str());
                    let name = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
                    add(section, Some(&name), Some(table), text, azure, problems, &mut settings);
                }
            }
            (SectionForm::Table, Some(DeValue::Table(table))) => add(section, None, Some(table), text, azure, problems, &mut settings),
            (SectionForm::Table, None) => add(section, None, None, text, azure, problems, &mut settings),
            _ => {}
        }
    }
    settings
}

fn add(
    section: &'static KeySection,
    name: Option<&str>,
    table: Option<&DeTable<'_>>,
    text: &str,
    azure: &PrivateLinkTable,
    problems: &ConfigProblems<'_>,
    settings: &mut Vec<EffectiveSetting>,
) {
    for key in section.keys {
        let written = table.and_then(|table| table.get(key.name()));
        let (value, line) = match written {
            Some(value) => {
                let span = value.span();
                (Some(shown(section, *key, text.get(span.clone()).unwrap_or_default())), Some(problems.line(span.start)))
            }
            None => (default(*key).or_else(|| default_by_name(section, *key, table?, azure)).map(str::to_owned), None),
        };
        let absent = match key.presence() {
            KeyPresence::Absent(words) if value.is_none() => Some(words),
            _ => None,
        };
        settings.push(EffectiveSetting { section: section.name, table: name.map(str::to_owned), key: key.name(), value, absent, line });
    }
}

fn default(key: &dyn AnyKey) -> Option<&'static str> {
    match key.presence() {
        KeyPresence::Default(default) => Some(default),
        KeyPresence::Absent(_) | KeyPresence::Required => None,
    }
}

/// Returns the default of a key that depends on the name of its zone.
fn default_by_name(section: &KeySection, key: &dyn AnyKey, table: &DeTable<'_>, azure: &PrivateLinkTable) -> Option<&'static str> {
    let zone = &keys::zone::SECTION;
    if section.name != zone.name {
        return None;
    }
    let named = table.get(keys::zone::NAME.name).and_then(|name| name.get_ref().as_str());
    // All zones of presets are private-link zones.
    let is_private_link = named.is_none_or(|name| azure.is_private_link_zone(name));
    match key.name() {
        name if name == keys::zone::ON_MISSING.name => Some(if is_private_link { "\"public\"" } else { "\"nxdomain\"" }),
        name if name == keys::zone::FALLBACK.name => Some(if is_private_link { "true" } else { "false" }),
        _ => None,
    }
}

/// Formats a TOML value on one line.
fn shown(section: &KeySection, key: &dyn AnyKey, written: &str) -> String {
    match SECRET.contains(&(section.name, key.name())) {
        true => "(hidden)".into(),
        false => written.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_depends_on_the_name_of_a_zone_is_shown_as_it_counts() {
        let zone = |name: &str| format!("[[zone]]\nname = '{name}'\napi = true\n");
        let text = zone("privatelink.blob.core.windows.net") + &zone("corp.contoso.com") + &zone("ad.contoso.com") + "fallback = true\n";
        let text = text + "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";
        let loaded = crate::parse(&text, "postern.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let shown = |zone: &str| {
            let of = |key: &str| {
                let mut settings = loaded.config.settings.iter();
                settings.find(|one| (one.section, one.table.as_deref(), one.key) == ("zone", Some(zone), key)).unwrap()
            };
            (of("on-missing").value.clone().unwrap(), of("fallback").value.clone().unwrap(), of("fallback").line)
        };
        assert_eq!(shown("privatelink.blob.core.windows.net"), ("\"public\"".into(), "true".into(), None));
        assert_eq!(shown("corp.contoso.com"), ("\"nxdomain\"".into(), "false".into(), None));
        assert_eq!(shown("ad.contoso.com"), ("\"nxdomain\"".into(), "true".into(), Some(10)));
        assert_eq!(shown("azure-health-data-services"), ("\"public\"".into(), "true".into(), None));
        for zone in &loaded.config.zones {
            let (on_missing, fallback, _) = shown(if zone.line == 11 { "azure-health-data-services" } else { &zone.name });
            assert_eq!((format!("\"{}\"", zone.on_missing.word()), zone.fallback.to_string()), (on_missing, fallback), "{}", zone.name);
        }
    }

    #[test]
    fn every_key_says_where_its_value_comes_from_and_secrets_stay_hidden() {
        let text = "[server]\nlisten = [\n  '127.0.0.1:53',\n]\n[[network]]\nname = 'hub'\nclients = ['10.0.0.0/8']\n\
                    [[key]]\nname = 'acme'\nallow = ['update']\nsecret = 'bm90IGEgc2VjcmV0IHRvIGtlZXAsIGJ1dCBvbmUgdG8gc2hvdw=='\n";
        let loaded = crate::parse(text, "postern.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let of = |section: &str, table: Option<&str>, key: &str| {
            let setting = loaded.config.settings.iter().find(|one| (one.section, one.table.as_deref(), one.key) == (section, table, key));
            let setting = setting.unwrap_or_else(|| panic!("{section} {key}"));
            (setting.value.clone().unwrap_or_default(), setting.line)
        };
        assert_eq!(of("server", None, "listen"), ("[ '127.0.0.1:53', ]".into(), Some(2)));
        assert_eq!(of("server", None, "udp-size"), ("1232".into(), None));
        assert_eq!(of("network", Some("hub"), "clients"), ("['10.0.0.0/8']".into(), Some(7)));
        assert_eq!(of("key", Some("acme"), "secret"), ("(hidden)".into(), Some(11)));
        assert!(!format!("{:?}", loaded.config.settings).contains("bm90"));
        let user = loaded.config.settings.iter().find(|one| one.key == "user").unwrap();
        assert_eq!((&user.value, user.absent), (&None, Some("the user that starts the server")));
    }
}
