# A dynamic host volume (Nomad 1.10 and later), on a client whose host_volume_plugin_dir has a symlink to the program:
#   ln -s /usr/local/bin/holdfast /opt/nomad/data/host_volume_plugins/holdfast
#   nomad volume create host-volume.hcl
name      = "db"
type      = "host"
plugin_id = "holdfast"

capacity_min = "512MiB"
capacity_max = "1GiB"

capability {
  access_mode     = "single-node-writer"
  attachment_mode = "file-system"
}

# All may be left out: role (nomad), disk (root of a PATH or MOUNT disk), uid and gid of the volume's top, both or neither.
parameters {
  role = "nomad"
  uid  = "999"
  gid  = "999"
}
