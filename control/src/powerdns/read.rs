//! JSON as clients of PowerDNS write it: keys that nobody knows, `null` for what is absent, words in any letter case (rules 2 and 3).

use serde_json::{Map, Value};

use super::fault::PowerDnsError;

/// An object of a request.
#[derive(Debug, Clone, Copy)]
pub struct Object<'v>(Option<&'v Map<String, Value>>);

impl<'v> Object<'v> {
    /// The object that `value` is; anything else has no keys.
    pub fn of(value: &'v Value) -> Self {
        Self(value.as_object())
    }

    /// Returns the value of a key. `None` if it is absent or `null`.
    pub fn value(self, key: &str) -> Option<&'v Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    /// Text that must be there.
    pub fn text(self, key: &str) -> Result<&'v str, PowerDnsError> {
        let text = self.value(key).and_then(Value::as_str);
        text.ok_or_else(|| PowerDnsError::invalid(format!("Key '{key}' not present or not a String")))
    }

    /// Text that may be absent.
    pub fn may_text(self, key: &str) -> Option<&'v str> {
        self.value(key)?.as_str()
    }

    /// Yes or no; absent: no.
    pub fn flag(self, key: &str) -> Result<bool, PowerDnsError> {
        let flag = self.value(key).map_or(Some(false), Value::as_bool);
        flag.ok_or_else(|| PowerDnsError::invalid(format!("Key '{key}' not present or not a Bool")))
    }

    /// A list; none: absent, `null`, or something else.
    pub fn list(self, key: &str) -> Option<&'v [Value]> {
        self.value(key)?.as_array().map(Vec::as_slice)
    }

    /// Texts; none: absent. `wrong` is said of what is no text.
    pub fn texts(self, key: &str, wrong: &str) -> Result<Option<Vec<&'v str>>, PowerDnsError> {
        let Some(list) = self.list(key) else { return Ok(None) };
        list.iter().map(|text| text.as_str().ok_or_else(|| PowerDnsError::invalid(wrong))).collect::<Result<_, _>>().map(Some)
    }

    /// Seconds, as a number or as digits.
    pub fn ttl(self) -> Result<u32, PowerDnsError> {
        let wrong = || PowerDnsError::invalid("Key 'ttl' not an Integer or not present");
        let value = self.value("ttl").ok_or_else(wrong)?;
        let ttl = value.as_u64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(wrong)?;
        let ttl = u32::try_from(ttl).ok().filter(|ttl| *ttl <= i32::MAX as u32);
        ttl.ok_or_else(|| PowerDnsError::invalid(format!("Key 'ttl' is more than {} seconds", i32::MAX)))
    }
}

/// The value of a parameter `name=true|false`; absent: `usual`.
pub fn switch(parameter: Option<&str>, name: &str, usual: bool) -> Result<bool, PowerDnsError> {
    match parameter {
        None => Ok(usual),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(PowerDnsError::invalid(format!("'{name}' request parameter value '{other}' is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rule_2_null_is_absent_and_other_keys_do_not_matter() {
        let value = json!({ "records": null, "ttl": 60, "url": "", "account": null, "masters": [] });
        let object = Object::of(&value);
        assert_eq!((object.list("records"), object.list("masters"), object.may_text("account")), (None, Some(&[][..]), None));
        assert_eq!((object.ttl(), object.flag("dnssec"), object.list("url")), (Ok(60), Ok(false), None));
        assert_eq!(object.text("name").unwrap_err().message, "Key 'name' not present or not a String");
        assert!(Object::of(&json!([1])).value("name").is_none());
    }

    #[test]
    fn seconds_are_numbers_or_digits_within_bounds() {
        for (ttl, want) in [(json!(0), Some(0)), (json!("60"), Some(60)), (json!(2147483647), Some(2147483647))] {
            assert_eq!(Object::of(&json!({ "ttl": ttl })).ttl().ok(), want);
        }
        for ttl in [json!(-1), json!(2147483648u64), json!("x"), json!(1.5), json!(null), json!([])] {
            assert!(Object::of(&json!({ "ttl": ttl })).ttl().is_err(), "{ttl}");
        }
    }
}
