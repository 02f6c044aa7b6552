//! A way to a daemon that outlives its restarts: the connection is opened when it is first needed, and again when it broke.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::uri::{Environment, Uri};
use crate::{Connection, LibvirtError};

/// A way to a daemon. Its clones share one connection.
#[derive(Debug, Clone)]
pub struct Line(Way);

#[derive(Debug, Clone)]
enum Way {
    /// Opened whenever there is none, or none that is whole.
    Opened(Arc<(Uri, Environment)>, Arc<Mutex<Option<Arc<Connection>>>>),
    /// One connection, and no other.
    Only(Arc<Connection>),
}

impl Line {
    /// A way to that daemon; nothing is opened yet.
    #[must_use]
    pub fn new(uri: Uri, env: Environment) -> Self {
        Self(Way::Opened(Arc::new((uri, env)), Arc::default()))
    }

    /// Where it leads.
    pub(crate) fn uri(&self) -> &Uri {
        match &self.0 {
            Way::Opened(to, _) => &to.0,
            Way::Only(connection) => connection.uri(),
        }
    }

    /// The connection that is open, or another one.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connection(&self) -> Result<Arc<Connection>, LibvirtError> {
        let (to, connection) = match &self.0 {
            Way::Opened(to, connection) => (to, connection),
            Way::Only(connection) => return Ok(Arc::clone(connection)),
        };
        let mut connection = connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| !open.is_broken()) {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(Connection::open(&to.0, &to.1).await?);
        *connection = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

impl From<Arc<Connection>> for Line {
    fn from(connection: Arc<Connection>) -> Self {
        Self(Way::Only(connection))
    }
}
