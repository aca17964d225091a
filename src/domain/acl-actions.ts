/**
 * The action names of Mesos's ACL file. One file may serve a whole cluster, so all of them are known, although few of
 * them concern disk. `resize_volume` is what Mesos's document says where its reader says `resize_volumes`.
 */

/** Every action by the key that its objects have. */
const ACTIONS_BY_OBJECT: Readonly<Record<string, readonly string[]>> = {
  roles: [
    "create_block_disks",
    "create_mount_disks",
    "create_volumes",
    "destroy_block_disks",
    "destroy_mount_disks",
    "destroy_raw_disks",
    "get_quotas",
    "register_frameworks",
    "reserve_resources",
    "resize_volume",
    "resize_volumes",
    "update_quotas",
    "update_weights",
    "view_roles",
  ],
  users: [
    "access_sandboxes",
    "attach_containers_input",
    "attach_containers_output",
    "kill_nested_containers",
    "kill_standalone_containers",
    "launch_nested_container_sessions_as_user",
    "launch_nested_container_sessions_under_parent_with_user",
    "launch_nested_containers_as_user",
    "launch_nested_containers_under_parent_with_user",
    "launch_standalone_containers",
    "remove_nested_containers",
    "remove_standalone_containers",
    "run_tasks",
    "view_containers",
    "view_executors",
    "view_frameworks",
    "view_standalone_containers",
    "view_tasks",
    "wait_nested_containers",
    "wait_standalone_containers",
  ],
  agents: ["deactivate_agents", "drain_agents", "mark_agents_gone", "reactivate_agents", "register_agents"],
  machines: [
    "get_maintenance_schedules",
    "get_maintenance_statuses",
    "start_maintenances",
    "stop_maintenances",
    "update_maintenance_schedules",
  ],
  resource_providers: ["mark_resource_providers_gone", "modify_resource_provider_configs", "view_resource_providers"],
  creator_principals: ["destroy_volumes"],
  flags: ["view_flags"],
  framework_principals: ["teardown_frameworks"],
  images: ["prune_images"],
  level: ["set_log_level"],
  logs: ["access_mesos_logs"],
  paths: ["get_endpoints"],
  reserver_principals: ["unreserve_resources"],
};

/** Every known action with the key that its objects have. */
export const OBJECT_KEYS: ReadonlyMap<string, string> = new Map(
  Object.entries(ACTIONS_BY_OBJECT).flatMap(([key, actions]) => actions.map((action) => [action, key] as const)),
);
