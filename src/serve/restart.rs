//! Keys that need a restart.

use postern_config::PosternConfig;

/// Returns `new` with the values of `old` for every key that needs a restart, and the names of the
/// keys that differ.
pub fn keep_what_needs_a_restart(old: &PosternConfig, mut new: PosternConfig) -> (PosternConfig, Vec<&'static str>) {
    fn keep<T: PartialEq + Clone>(key: &'static str, new: &mut T, old: &T) -> Option<&'static str> {
        (new != old).then(|| {
            new.clone_from(old);
            key
        })
    }
    let kept = [
        keep("server.listen", &mut new.server.listen, &old.server.listen),
        keep("server.workers", &mut new.server.workers, &old.server.workers),
        keep("server.user", &mut new.server.user, &old.server.user),
        keep("server.state", &mut new.server.state, &old.server.state),
        keep("server.group", &mut new.server.group, &old.server.group),
        keep("api.listen", &mut new.api.listen, &old.api.listen),
        keep("api.socket", &mut new.api.socket, &old.api.socket),
        keep("metrics.listen", &mut new.metrics.listen, &old.metrics.listen),
        keep("log.format", &mut new.log.format, &old.log.format),
        keep("fallback.queue", &mut new.fallback.queue, &old.fallback.queue),
    ];
    let kept: Vec<&'static str> = kept.into_iter().flatten().collect();
    for key in &kept {
        let is_meant = |one: &&mut postern_config::EffectiveSetting| key.split_once('.') == Some((one.section, one.key));
        let was = old.settings.iter().find(|one| key.split_once('.') == Some((one.section, one.key)));
        new.settings.iter_mut().find(is_meant).zip(was).into_iter().for_each(|(new, was)| new.clone_from(was));
    }
    (new, kept)
}
