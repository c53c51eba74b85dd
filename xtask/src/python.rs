//! Python programs that tests ask whether they read what we write: each in a virtual environment under `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::shell::{root, run, step};

/// A program, and the variable in which tests find the Python that has it.
pub(crate) struct Tool {
    name: &'static str,
    variable: &'static str,
    /// What only works where everything is installed.
    import: &'static str,
    /// pip's arguments, call by call.
    install: &'static [&'static [&'static str]],
}

/// Reads our event files.
pub(crate) const TENSORBOARD: Tool = Tool {
    name: "tensorboard",
    variable: "OFFSHOOT_TENSORBOARD_PYTHON",
    import: "from tensorboard.backend.event_processing import event_accumulator",
    // It still imports what newer packages of this name no longer have.
    install: &[&["tensorboard==2.21.0", "setuptools<81"]],
};

/// A tracking server that runs are posted to. Without what only models need (pandas, scipy, pyarrow and more), which
/// would take three times the room; the small package has all else but the server's own.
pub(crate) const MLFLOW: Tool = Tool {
    name: "mlflow",
    variable: "OFFSHOOT_MLFLOW_PYTHON",
    import: "import mlflow.server, gunicorn",
    install: &[
        &["mlflow-skinny==2.22.5", "flask<4", "alembic<2", "graphene<4", "gunicorn<24", "sqlalchemy<3"],
        &["--no-deps", "mlflow==2.22.5"],
    ],
};

impl Tool {
    /// The variable with the Python, which is installed if need be; none where it cannot be.
    pub(crate) fn get(&self) -> Option<(&'static str, PathBuf)> {
        if !self.works()
            && let Err(error) = step(self.name, || self.install())
        {
            eprintln!("{error:#}\nthe test with {} will say that it did not run", self.name);
        }
        self.works().then(|| (self.variable, self.python()))
    }

    fn place(&self) -> PathBuf {
        root().join("target").join(self.name)
    }

    fn python(&self) -> PathBuf {
        self.place().join("bin").join("python")
    }

    fn works(&self) -> bool {
        let mut import = Command::new(self.python());
        import.args(["-c", self.import]).output().is_ok_and(|ran| ran.status.success())
    }

    fn install(&self) -> Result<()> {
        let mut environment = Command::new("python3");
        environment.args(["-m", "venv"]).arg(self.place());
        run(environment)?;
        self.install.iter().try_for_each(|packages| {
            let mut pip = Command::new(self.python());
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(*packages);
            run(pip)
        })
    }
}
