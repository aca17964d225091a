# A volume that was made on the client client-1, for Nomad to place what uses it there:
#   holdfast reserve ads --size 2G && holdfast create ads/db --size 2G --path data
#   nomad volume register volume.hcl
id          = "db"
name        = "db"
type        = "csi"
plugin_id   = "csi.holdfast.dev"
external_id = "ads/db"

capability {
  access_mode     = "single-node-writer"
  attachment_mode = "file-system"
}

topology_request {
  required {
    topology {
      segments {
        "csi.holdfast.dev/node" = "client-1"
      }
    }
  }
}
