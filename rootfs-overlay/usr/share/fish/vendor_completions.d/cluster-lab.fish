# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cluster_lab_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_cluster_lab_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cluster_lab_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cluster_lab_using_subcommand
    set -l cmd (__fish_cluster_lab_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -s V -l version -d 'Print version'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "docker-env" -d 'Print the settings with which `docker` acts on the whole cluster'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "first-boot" -d 'Do what a new card needs once: name, identity, keys, account, size. Run by the system at every boot'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "nodes" -d 'Show the nodes of the swarm'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "services" -d 'Show the services, and where they run'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "service" -d 'Make, change, move or remove a service'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "images" -d 'Show the images on this node'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "logs" -d 'Show what a service or a node says'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "events" -d 'Show what happened in the cluster'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "exec" -d 'Run a command on all nodes at once'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "login" -d 'Make a link that logs in to the dashboard, or a token for scripts'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "support-bundle" -d 'Write what somebody who helps must know into a file, without secrets'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "run" -d 'Be a node of the cluster: take the master or node role and keep it. Run by the system as a service'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "health" -d 'Check this node and its cluster, and tell what to do about each failure'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "dependencies" -d 'Check that this system has what Cluster Lab needs'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "start" -d 'Take part in the cluster again after `stop`'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "stop" -d 'Leave the cluster in order and put every file back; stays so over a restart'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "status" -d 'Show what this node is, which master and nodes it sees, what it waits for'
complete -c cluster-lab -n "__fish_cluster_lab_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand docker-env" -l host -d 'The node to ask: each answers for the whole cluster' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand docker-env" -l cert-path -d 'Keep the certificate here instead of in ~/.docker/cluster-lab' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand docker-env" -l socket -d 'Ask the endpoint behind this Unix socket for a certificate' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand docker-env" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand docker-env" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand first-boot" -l stage -d 'Do only what belongs to this part of the start of the system' -r -f -a "early\t'Before the network: milliseconds'
late\t'Before logins, SSH and Docker: seconds. Network and agent start meanwhile'
background\t'Whenever there is time: up to minutes on a Pi 1'"
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand first-boot" -l root -d 'Work on the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand first-boot" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand first-boot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand nodes" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand nodes" -l json -d 'Print JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand nodes" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand nodes" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand services" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand services" -l json -d 'Print JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand services" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand services" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "create" -d 'Make a service'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "update" -d 'Replace the definition of a service: what is not said is taken away'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "scale" -d 'Change how many tasks a service has'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "move" -d 'Let a service run on one node only'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "restart" -d 'Start all tasks of a service anew'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "rm" -d 'Take services away'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and not __fish_seen_subcommand_from create update scale move restart rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -l replicas -d 'How many tasks (default: 1)' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -s p -l publish -d 'A port that every node opens for it: PORT, or PORT:PORT-INSIDE, with /udp for UDP' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -s e -l env -d 'An environment variable' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -l node -d 'Run on this node only' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -l constraint -d 'A placement constraint of Swarm\'s, such as node.labels.role==master' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -l global -d 'One task on every node'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -l replicas -d 'How many tasks (default: 1)' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -s p -l publish -d 'A port that every node opens for it: PORT, or PORT:PORT-INSIDE, with /udp for UDP' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -s e -l env -d 'An environment variable' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -l node -d 'Run on this node only' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -l constraint -d 'A placement constraint of Swarm\'s, such as node.labels.role==master' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -l global -d 'One task on every node'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from scale" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from scale" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from move" -l anywhere -d 'Let Swarm choose the nodes again'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from move" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from move" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from restart" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a service'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "update" -d 'Replace the definition of a service: what is not said is taken away'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "scale" -d 'Change how many tasks a service has'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "move" -d 'Let a service run on one node only'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Start all tasks of a service anew'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Take services away'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand images" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand images" -l json -d 'Print JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand images" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand images" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand logs" -s n -l lines -d 'The last lines' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand logs" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand logs" -s f -l follow -d 'Go on with what comes'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand logs" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand logs" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand events" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand events" -s f -l follow -d 'Go on with what comes'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand events" -l json -d 'Print a JSON value per line'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand events" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand events" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand exec" -l node -d 'Only on this node, by name or address; may be repeated' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand exec" -l limit -d 'End the command after so many seconds, 1 to 3600' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand exec" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand exec" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand exec" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l token -d 'Make a token for scripts, of this name; an older one of that name ends' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l days -d 'How long the token lives' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l revoke -d 'End a token' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l read-only -d 'Allow to look, not to change'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -l list -d 'List the tokens of this node'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand login" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand support-bundle" -s o -l output -d 'Where to write it; `-` for stdout' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand support-bundle" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand support-bundle" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand support-bundle" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l root -d 'Read the settings of the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l config -d 'Use this file as the only source of settings' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l state-dir -d 'Keep the state here' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l socket -d 'Serve the API on this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l docker-socket -d 'Where Docker Engine listens' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -l service-manager -d 'Reload, restart and look at Docker Engine with this program' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand run" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l root -d 'Look at the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l config -d 'Use this file as the only source of settings' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l state-dir -d 'Where the state is' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l docker-socket -d 'Where Docker Engine listens' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -l json -d 'Print the checks as JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand health" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand dependencies" -l root -d 'Look at the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand dependencies" -l config -d 'Use this file as the only source of settings' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand dependencies" -l json -d 'Print the checks as JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand dependencies" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand dependencies" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -l root -d 'Work on the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -l state-dir -d 'Where the state is' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -l socket -d 'Where the daemon listens' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -l service-manager -d 'The service manager' -r
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand start" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand stop" -l root -d 'Work on the system below this folder' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand stop" -l state-dir -d 'Where the state is' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand stop" -l socket -d 'Where the daemon listens' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand stop" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand stop" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand status" -l socket -d 'Ask the daemon behind this Unix socket' -r -F
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand status" -l json -d 'Print the status as JSON'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand status" -s v -l verbose -d 'Say more on stderr; twice for libraries too. `RUST_LOG` overrides it'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand status" -s h -l help -d 'Print help'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "docker-env" -d 'Print the settings with which `docker` acts on the whole cluster'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "first-boot" -d 'Do what a new card needs once: name, identity, keys, account, size. Run by the system at every boot'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "nodes" -d 'Show the nodes of the swarm'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "services" -d 'Show the services, and where they run'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "service" -d 'Make, change, move or remove a service'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "images" -d 'Show the images on this node'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "logs" -d 'Show what a service or a node says'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "events" -d 'Show what happened in the cluster'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "exec" -d 'Run a command on all nodes at once'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "login" -d 'Make a link that logs in to the dashboard, or a token for scripts'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "support-bundle" -d 'Write what somebody who helps must know into a file, without secrets'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "run" -d 'Be a node of the cluster: take the master or node role and keep it. Run by the system as a service'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "health" -d 'Check this node and its cluster, and tell what to do about each failure'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "dependencies" -d 'Check that this system has what Cluster Lab needs'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "start" -d 'Take part in the cluster again after `stop`'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "stop" -d 'Leave the cluster in order and put every file back; stays so over a restart'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "status" -d 'Show what this node is, which master and nodes it sees, what it waits for'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and not __fish_seen_subcommand_from docker-env first-boot nodes services service images logs events exec login support-bundle run health dependencies start stop status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "create" -d 'Make a service'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "update" -d 'Replace the definition of a service: what is not said is taken away'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "scale" -d 'Change how many tasks a service has'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "move" -d 'Let a service run on one node only'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "restart" -d 'Start all tasks of a service anew'
complete -c cluster-lab -n "__fish_cluster_lab_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "rm" -d 'Take services away'
