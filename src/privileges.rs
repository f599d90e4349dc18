//! Dropping privileges after the sockets are bound.

use std::ffi::CString;
use std::io;
use std::net::SocketAddr;

use nix::unistd::{self, Gid, Group, Uid, User};
use postern_config::model::ServerConfig;

/// Switches to the configured user and group. Does nothing if none is configured, or if the process
/// already runs as that user.
///
/// This must be called after the sockets are bound. Zone files, the configuration and the fallback
/// record are opened afterwards, because a reload must be able to open them as that user again.
pub fn give_up(server: &ServerConfig) -> Result<Option<String>, String> {
    let ((Some(name), _) | (None, Some(name))) = (&server.user, &server.group) else { return Ok(None) };
    let user = match &server.user {
        Some(user) => Some(find_user(user)?),
        None => None,
    };
    let group = match &server.group {
        Some(group) => find_group(group)?,
        None => user.as_ref().map_or(unistd::getegid(), |user| user.gid),
    };
    let uid = user.as_ref().map_or(unistd::geteuid(), |user| user.uid);
    if uid == unistd::geteuid() && group == unistd::getegid() {
        return Ok(None);
    }
    if !unistd::geteuid().is_root() {
        return Err(format!(
            "error: cannot become {name}: only root can (remove `server.user` and `server.group` to keep the current user)"
        ));
    }
    let failed = |what: &str, error: nix::Error| format!("error: cannot become {name}: {what}: {error}");
    match &user {
        Some(user) => CString::new(user.name.as_str()).map_or(Err(nix::Error::EINVAL), |name| unistd::initgroups(&name, group)),
        None => unistd::setgroups(&[group]),
    }
    .map_err(|error| failed("its groups", error))?;
    unistd::setgid(group).map_err(|error| failed("setgid", error))?;
    unistd::setuid(uid).map_err(|error| failed("setuid", error))?;
    if uid != Uid::from_raw(0) && unistd::setuid(Uid::from_raw(0)).is_ok() {
        return Err(format!("error: still root after becoming {name}"));
    }
    Ok(Some(format!("{}:{}", user.map_or_else(|| uid.to_string(), |user| user.name), group)))
}

/// Returns the user and group that must own files created before the switch. Returns `None` if the
/// configuration sets neither.
pub fn owner(server: &ServerConfig) -> Result<Option<(u32, u32)>, String> {
    let user = server.user.as_deref().map(find_user).transpose()?;
    let group = server.group.as_deref().map(find_group).transpose()?;
    let own = user.as_ref().map_or_else(unistd::getegid, |user| user.gid);
    let uid = user.map_or_else(unistd::geteuid, |user| user.uid);
    let is_other = server.user.is_some() || server.group.is_some();
    Ok(is_other.then(|| (uid.as_raw(), group.unwrap_or(own).as_raw())))
}

/// Returns advice for an address that cannot be bound. Empty if there is none.
pub fn hint(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied if address.port() < 1024 => format!(
            "ports below 1024 need CAP_NET_BIND_SERVICE: `setcap cap_net_bind_service=+ep` on the program, \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, or start as root with `server.user`; \
             or listen on another port, such as {}",
            SocketAddr::new(address.ip(), 5300)
        ),
        io::ErrorKind::AddrInUse => format!(
            "another server has it (`ss -lunp sport = :{}` names it); systemd-resolved holds 127.0.0.53:53, so listen on an address, not on 0.0.0.0",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address, and the kernel binds no address before one has".into()
        }
        _ => String::new(),
    }
}

fn find_user(name: &str) -> Result<User, String> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    found.ok().flatten().ok_or_else(|| format!("error: there is no user {name} (`server.user`)"))
}

fn find_group(name: &str) -> Result<Gid, String> {
    let found = match name.parse() {
        Ok(number) => return Ok(Gid::from_raw(number)),
        Err(_) => Group::from_name(name),
    };
    found.ok().flatten().map(|group| group.gid).ok_or_else(|| format!("error: there is no group {name} (`server.group`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_up_where_nobody_is_named_and_unknown_names_are_told() {
        let server = |user: Option<&str>, group: Option<&str>| {
            let server = postern_config::PosternConfig::default().server;
            ServerConfig { user: user.map(Into::into), group: group.map(Into::into), ..server }
        };
        assert_eq!(give_up(&server(None, None)), Ok(None));
        let nobody = give_up(&server(Some("no-such-user-here"), None)).unwrap_err();
        assert_eq!(nobody, "error: there is no user no-such-user-here (`server.user`)");
        let nogroup = give_up(&server(None, Some("no-such-group-here"))).unwrap_err();
        assert_eq!(nogroup, "error: there is no group no-such-group-here (`server.group`)");
        let ourselves = unistd::geteuid().to_string();
        assert_eq!(give_up(&server(Some(&ourselves), Some(&unistd::getegid().to_string()))), Ok(None));
    }

    #[test]
    fn a_refused_low_port_names_the_capability() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(hint("[::]:53".parse().unwrap(), &denied).contains("CAP_NET_BIND_SERVICE"));
        assert!(hint("[::]:5300".parse().unwrap(), &denied).is_empty());
        assert!(hint("0.0.0.0:53".parse().unwrap(), &io::ErrorKind::AddrInUse.into()).contains("systemd-resolved"));
    }
}
