//! Why there is no way into a machine by its guest agent, and what opens it.

use patchyard_types::printable;

use crate::LibvirtError;

/// Whether a guest was too busy to come into step with libvirt, which gives it five seconds for that whatever
/// the command's own time is. The same words mean later, when that is over, that the command has no answer.
pub(super) fn is_busy(message: &str) -> bool {
    message.contains("not available for now")
}

/// What an error means for who wants to run a program: libvirt's words, and what to do.
pub(crate) fn no_way(error: LibvirtError) -> String {
    match error {
        LibvirtError::AgentMissing { .. } => "its domain has no channel for the guest agent: add <channel \
             type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel> to its devices (virsh \
             edit), start it anew, and install qemu-guest-agent in it"
            .to_owned(),
        LibvirtError::AgentSilent { message } => format!(
            "its guest agent does not answer ({message}): is qemu-guest-agent installed and running in it \
             (systemctl status qemu-guest-agent)?"
        ),
        // An agent that holds the file systems still bars most commands, and tells of it in nearly the same words.
        LibvirtError::AgentRefused { message } if message.contains("frozen") => {
            format!("its file systems are being held still for a snapshot ({message}): wait, or virsh domfsthaw")
        }
        LibvirtError::AgentRefused { message } if is_barred(&message) => format!(
            "its guest agent does not allow programs ({message}): let guest-exec, guest-exec-status and \
             guest-file-* through (block-rpcs in /etc/qemu/qemu-ga.conf there, BLOCK_RPCS or BLACKLIST_RPC in \
             /etc/sysconfig/qemu-ga) and restart the agent"
        ),
        LibvirtError::AgentRefused { message } => format!("its guest agent refuses: {message}"),
        LibvirtError::Busy { message } => format!(
            "somebody else is at work on its domain ({message}): is a backup or a snapshot under way (virsh \
             domjobinfo)?"
        ),
        LibvirtError::NotNow { message } => format!("its domain cannot be reached as it is ({message})"),
        other => printable(&other.to_string(), 500),
    }
}

/// A command that its configuration bars, or that it is too old for.
fn is_barred(message: &str) -> bool {
    ["disabled", "has not been found", "CommandNotFound"].iter().any(|words| message.contains(words))
}
