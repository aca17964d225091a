# Holdfast as a CSI plugin on every client: nomad job run holdfast.nomad.hcl
# The task needs the docker driver with plugin "docker" { config { allow_privileged = true } } and the volumes enabled.
job "holdfast" {
  type        = "system"
  datacenters = ["*"]

  # One node after the other. Allocations keep their mounts while the plugin is away.
  update {
    max_parallel = 1
    stagger      = "30s"
  }

  group "node" {
    task "driver" {
      driver = "docker"

      config {
        image      = "registry.example.com/holdfast:0.1.0"
        privileged = true
        # Who uses a volume is seen in the processes of the whole node.
        pid_mode = "host"
        args = [
          "daemon",
          "--work-root=/var/lib/holdfast",
          "--socket=/run/holdfast/holdfast.sock",
          "--csi=/csi/csi.sock",
          "--csi-node-id=${node.unique.name}",
        ]
        # Unlike mounts, these are made where they are missing: /run/holdfast is after every boot.
        volumes = [
          "/var/lib/holdfast:/var/lib/holdfast:rshared",
          "/run/holdfast:/run/holdfast",
        ]
      }

      # Nomad asks any controller to make a volume, and not that of the node where it shall be: here volumes are made on
      # their node and registered (volume.hcl), or made by Nomad itself as host volumes (host-volume.hcl).
      csi_plugin {
        id             = "csi.holdfast.dev"
        type           = "node"
        mount_dir      = "/csi"
        health_timeout = "60s"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
