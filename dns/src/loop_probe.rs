//! Names of loop probes (S7): `<random>.postern-loop-probe.<suffix of the route>`.

use postern_zones::name::NameBuf;

/// Second label of a probe's name.
pub(crate) const LABEL: &str = "postern-loop-probe";

/// Returns true for the name of a probe: one of this server's that came back, or one of another Postern that forwards to this one.
///
/// Every fallback is checked, so the second label is compared where it stands, without counting labels.
#[inline]
pub(crate) fn is_loop_probe(name: &NameBuf) -> bool {
    let wire = name.as_wire();
    let second = 1 + usize::from(wire[0]);
    wire.get(second).is_some_and(|length| usize::from(*length) == LABEL.len()) && wire[second + 1..].starts_with(LABEL.as_bytes())
}
