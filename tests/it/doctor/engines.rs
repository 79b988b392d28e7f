//! Docker engines and clusters.

use super::Fault;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "no engine is there",
        only: "docker",
        plant: |_, case| {
            case.edit(
                "[docker]\n",
                "[docker]\nhost = \"unix:///nowhere/docker.sock\"\n",
            );
        },
        id: "docker.engine",
        state: "failed",
        found: "can't be reached",
        mend: "systemctl status docker",
    },
    Fault {
        name: "nobody answers at the engine's port",
        only: "docker",
        plant: |_, case| case.edit("[docker]\n", "[docker]\nhost = \"tcp://127.0.0.1:1\"\n"),
        id: "docker.engine",
        state: "failed",
        found: "can't be reached",
        mend: "set [docker] host",
    },
    Fault {
        name: "the bot's user may not open the engine's socket",
        only: "docker",
        plant: |world, case| {
            let own = world.folder.path().join("treasury-bot");
            std::fs::copy(env!("CARGO_BIN_EXE_treasury-bot"), own).unwrap();
            case.user = Some(65_534);
        },
        id: "docker.engine",
        state: "failed",
        found: "Docker denies it",
        mend: "usermod -aG",
    },
    Fault {
        name: "a Compose service is misspelt",
        only: "docker",
        plant: |_, case| case.edit("compose_service = \"web\"", "compose_service = \"wep\""),
        id: "docker.service",
        state: "failed",
        found: "was not found on Docker",
        mend: "",
    },
    Fault {
        name: "a Swarm's service, and an engine that is no manager",
        only: "docker",
        plant: |world, case| {
            let own = format!(
                "compose_project = \"{}\"\ncompose_service = \"web\"",
                world.stack.project
            );
            case.edit(&own, "swarm_service = \"web\"");
        },
        id: "docker.swarm",
        state: "failed",
        found: "no manager of a Swarm",
        mend: "docker swarm init",
    },
    Fault {
        name: "the cluster refuses a verb",
        only: "kubernetes",
        plant: |world, _| world.cluster.forbid("patch", "deployments/scale"),
        id: "kubernetes.rights",
        state: "failed",
        found: "may not patch deployments/scale (apps) of archive",
        mend: "treasury-bot rbac",
    },
    Fault {
        name: "the cluster refuses logs and evictions",
        only: "kubernetes",
        plant: |world, _| {
            world.cluster.forbid("get", "pods/log");
            world.cluster.forbid("create", "pods/eviction");
        },
        id: "kubernetes.rights",
        state: "failed",
        found: "create pods/eviction; get pods/log",
        mend: "kubectl apply",
    },
    Fault {
        name: "the cluster has no metrics-server",
        only: "kubernetes",
        plant: |world, _| {
            world.cluster.with(|state| state.metrics = false);
            world.after(|world| world.cluster.with(|state| state.metrics = true));
        },
        id: "kubernetes.metrics",
        state: "warning",
        found: "the cluster has no metrics API",
        mend: "install the metrics-server",
    },
    Fault {
        name: "the cluster does not know the token",
        only: "kubernetes",
        plant: |world, case| {
            let file = world.folder.path().join("kubeconfig");
            let text = std::fs::read_to_string(&file).unwrap();
            let other = world.folder.path().join("expired");
            std::fs::write(&other, text.replace(crate::kubernetes::TOKEN, "expired")).unwrap();
            let (file, other) = (file.display().to_string(), other.display().to_string());
            case.edit(&file, &other);
        },
        // Anybody may ask for the version.
        id: "kubernetes.rights",
        state: "failed",
        found: "Kubernetes denies it",
        mend: "its token has expired",
    },
    Fault {
        name: "the API server is away",
        only: "kubernetes",
        plant: |world, _| {
            world.cluster.close();
            world.after(|world| world.cluster.reopen());
        },
        id: "kubernetes.server",
        state: "failed",
        found: "can't be reached",
        mend: "is the API server",
    },
    Fault {
        name: "a workload is misspelt",
        only: "kubernetes",
        plant: |_, case| case.edit("deployment/archive", "deployment/archiv"),
        id: "kubernetes.service",
        state: "failed",
        found: "was not found on Kubernetes",
        mend: "",
    },
];
