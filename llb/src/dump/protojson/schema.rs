//! The messages of LLB as data. Generated from `proto/llb.proto` by `cargo xtask gen`; do not edit.

use super::{Field, Kind, Message};

pub(super) static MESSAGES: &[Message] = &[
    Message { name: "Definition", fields: &[
        Field { number: 1, name: "def", kind: Kind::Bytes, repeated: true },
        Field { number: 2, name: "metadata", kind: Kind::Map("Definition.MetadataEntry"), repeated: true },
        Field { number: 3, name: "Source", kind: Kind::Message("Source"), repeated: false },
    ] },
    Message { name: "Definition.MetadataEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Message("OpMetadata"), repeated: false },
    ] },
    Message { name: "Op", fields: &[
        Field { number: 1, name: "inputs", kind: Kind::Message("Input"), repeated: true },
        Field { number: 2, name: "exec", kind: Kind::Message("ExecOp"), repeated: false },
        Field { number: 3, name: "source", kind: Kind::Message("SourceOp"), repeated: false },
        Field { number: 4, name: "file", kind: Kind::Message("FileOp"), repeated: false },
        Field { number: 5, name: "build", kind: Kind::Message("BuildOp"), repeated: false },
        Field { number: 6, name: "merge", kind: Kind::Message("MergeOp"), repeated: false },
        Field { number: 7, name: "diff", kind: Kind::Message("DiffOp"), repeated: false },
        Field { number: 8, name: "passthrough", kind: Kind::Message("PassthroughOp"), repeated: false },
        Field { number: 10, name: "platform", kind: Kind::Message("Platform"), repeated: false },
        Field { number: 11, name: "constraints", kind: Kind::Message("WorkerConstraints"), repeated: false },
    ] },
    Message { name: "Input", fields: &[
        Field { number: 1, name: "digest", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "index", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "Platform", fields: &[
        Field { number: 1, name: "Architecture", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "OS", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "Variant", kind: Kind::Text, repeated: false },
        Field { number: 4, name: "OSVersion", kind: Kind::Text, repeated: false },
        Field { number: 5, name: "OSFeatures", kind: Kind::Text, repeated: true },
    ] },
    Message { name: "WorkerConstraints", fields: &[
        Field { number: 1, name: "filter", kind: Kind::Text, repeated: true },
    ] },
    Message { name: "OpMetadata", fields: &[
        Field { number: 1, name: "ignoreCache", kind: Kind::Bool, repeated: false },
        Field { number: 2, name: "description", kind: Kind::Map("OpMetadata.DescriptionEntry"), repeated: true },
        Field { number: 4, name: "exportCache", kind: Kind::Message("ExportCache"), repeated: false },
        Field { number: 5, name: "caps", kind: Kind::Map("OpMetadata.CapsEntry"), repeated: true },
        Field { number: 6, name: "progressGroup", kind: Kind::Message("ProgressGroup"), repeated: false },
        Field { number: 7, name: "linuxResources", kind: Kind::Message("LinuxResources"), repeated: false },
    ] },
    Message { name: "OpMetadata.DescriptionEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "OpMetadata.CapsEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "ExportCache", fields: &[
        Field { number: 1, name: "Value", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "ProgressGroup", fields: &[
        Field { number: 1, name: "id", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "name", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "weak", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "LinuxResources", fields: &[
        Field { number: 1, name: "memory", kind: Kind::Int64, repeated: false },
        Field { number: 2, name: "memorySwap", kind: Kind::Int64, repeated: false },
        Field { number: 3, name: "cpuShares", kind: Kind::Uint64, repeated: false },
        Field { number: 4, name: "cpuPeriod", kind: Kind::Uint64, repeated: false },
        Field { number: 5, name: "cpuQuota", kind: Kind::Int64, repeated: false },
        Field { number: 6, name: "cpusetCpus", kind: Kind::Text, repeated: false },
        Field { number: 7, name: "cpusetMems", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "Source", fields: &[
        Field { number: 1, name: "locations", kind: Kind::Map("Source.LocationsEntry"), repeated: true },
        Field { number: 2, name: "infos", kind: Kind::Message("SourceInfo"), repeated: true },
    ] },
    Message { name: "Source.LocationsEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Message("Locations"), repeated: false },
    ] },
    Message { name: "Locations", fields: &[
        Field { number: 1, name: "locations", kind: Kind::Message("Location"), repeated: true },
    ] },
    Message { name: "Location", fields: &[
        Field { number: 1, name: "sourceIndex", kind: Kind::Int32, repeated: false },
        Field { number: 2, name: "ranges", kind: Kind::Message("Range"), repeated: true },
    ] },
    Message { name: "Range", fields: &[
        Field { number: 1, name: "start", kind: Kind::Message("Position"), repeated: false },
        Field { number: 2, name: "end", kind: Kind::Message("Position"), repeated: false },
    ] },
    Message { name: "Position", fields: &[
        Field { number: 1, name: "line", kind: Kind::Int32, repeated: false },
        Field { number: 2, name: "character", kind: Kind::Int32, repeated: false },
    ] },
    Message { name: "SourceInfo", fields: &[
        Field { number: 1, name: "filename", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "data", kind: Kind::Bytes, repeated: false },
        Field { number: 3, name: "definition", kind: Kind::Message("Definition"), repeated: false },
        Field { number: 4, name: "language", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "SourceOp", fields: &[
        Field { number: 1, name: "identifier", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "attrs", kind: Kind::Map("SourceOp.AttrsEntry"), repeated: true },
    ] },
    Message { name: "SourceOp.AttrsEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "ExecOp", fields: &[
        Field { number: 1, name: "meta", kind: Kind::Message("Meta"), repeated: false },
        Field { number: 2, name: "mounts", kind: Kind::Message("Mount"), repeated: true },
        Field { number: 3, name: "network", kind: Kind::Enum(&[(0, "UNSET"), (1, "HOST"), (2, "NONE")]), repeated: false },
        Field { number: 4, name: "security", kind: Kind::Enum(&[(0, "SANDBOX"), (1, "INSECURE")]), repeated: false },
        Field { number: 5, name: "secretenv", kind: Kind::Message("SecretEnv"), repeated: true },
        Field { number: 6, name: "cdiDevices", kind: Kind::Message("CDIDevice"), repeated: true },
    ] },
    Message { name: "Meta", fields: &[
        Field { number: 1, name: "args", kind: Kind::Text, repeated: true },
        Field { number: 2, name: "env", kind: Kind::Text, repeated: true },
        Field { number: 3, name: "cwd", kind: Kind::Text, repeated: false },
        Field { number: 4, name: "user", kind: Kind::Text, repeated: false },
        Field { number: 5, name: "proxyEnv", kind: Kind::Message("ProxyEnv"), repeated: false },
        Field { number: 6, name: "extraHosts", kind: Kind::Message("HostIP"), repeated: true },
        Field { number: 7, name: "hostname", kind: Kind::Text, repeated: false },
        Field { number: 9, name: "ulimit", kind: Kind::Message("Ulimit"), repeated: true },
        Field { number: 10, name: "cgroupParent", kind: Kind::Text, repeated: false },
        Field { number: 11, name: "removeMountStubsRecursive", kind: Kind::Bool, repeated: false },
        Field { number: 12, name: "validExitCodes", kind: Kind::Int32, repeated: true },
    ] },
    Message { name: "ProxyEnv", fields: &[
        Field { number: 1, name: "httpProxy", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "httpsProxy", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "ftpProxy", kind: Kind::Text, repeated: false },
        Field { number: 4, name: "noProxy", kind: Kind::Text, repeated: false },
        Field { number: 5, name: "allProxy", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "HostIP", fields: &[
        Field { number: 1, name: "Host", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "IP", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "Ulimit", fields: &[
        Field { number: 1, name: "Name", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "Soft", kind: Kind::Int64, repeated: false },
        Field { number: 3, name: "Hard", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "SecretEnv", fields: &[
        Field { number: 1, name: "ID", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "name", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "optional", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "CDIDevice", fields: &[
        Field { number: 1, name: "name", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "optional", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "Mount", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
        Field { number: 2, name: "selector", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "dest", kind: Kind::Text, repeated: false },
        Field { number: 4, name: "output", kind: Kind::Int64, repeated: false },
        Field { number: 5, name: "readonly", kind: Kind::Bool, repeated: false },
        Field { number: 6, name: "mountType", kind: Kind::Enum(&[(0, "BIND"), (1, "SECRET"), (2, "SSH"), (3, "CACHE"), (4, "TMPFS")]), repeated: false },
        Field { number: 19, name: "TmpfsOpt", kind: Kind::Message("TmpfsOpt"), repeated: false },
        Field { number: 20, name: "cacheOpt", kind: Kind::Message("CacheOpt"), repeated: false },
        Field { number: 21, name: "secretOpt", kind: Kind::Message("SecretOpt"), repeated: false },
        Field { number: 22, name: "SSHOpt", kind: Kind::Message("SSHOpt"), repeated: false },
        Field { number: 23, name: "resultID", kind: Kind::Text, repeated: false },
        Field { number: 24, name: "contentCache", kind: Kind::Enum(&[(0, "DEFAULT"), (1, "ON"), (2, "OFF")]), repeated: false },
    ] },
    Message { name: "TmpfsOpt", fields: &[
        Field { number: 1, name: "size", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "CacheOpt", fields: &[
        Field { number: 1, name: "ID", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "sharing", kind: Kind::Enum(&[(0, "SHARED"), (1, "PRIVATE"), (2, "LOCKED")]), repeated: false },
    ] },
    Message { name: "SecretOpt", fields: &[
        Field { number: 1, name: "ID", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "uid", kind: Kind::Uint32, repeated: false },
        Field { number: 3, name: "gid", kind: Kind::Uint32, repeated: false },
        Field { number: 4, name: "mode", kind: Kind::Uint32, repeated: false },
        Field { number: 5, name: "optional", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "SSHOpt", fields: &[
        Field { number: 1, name: "ID", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "uid", kind: Kind::Uint32, repeated: false },
        Field { number: 3, name: "gid", kind: Kind::Uint32, repeated: false },
        Field { number: 4, name: "mode", kind: Kind::Uint32, repeated: false },
        Field { number: 5, name: "optional", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "FileOp", fields: &[
        Field { number: 2, name: "actions", kind: Kind::Message("FileAction"), repeated: true },
    ] },
    Message { name: "FileAction", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
        Field { number: 2, name: "secondaryInput", kind: Kind::Int64, repeated: false },
        Field { number: 3, name: "output", kind: Kind::Int64, repeated: false },
        Field { number: 4, name: "copy", kind: Kind::Message("FileActionCopy"), repeated: false },
        Field { number: 5, name: "mkfile", kind: Kind::Message("FileActionMkFile"), repeated: false },
        Field { number: 6, name: "mkdir", kind: Kind::Message("FileActionMkDir"), repeated: false },
        Field { number: 7, name: "rm", kind: Kind::Message("FileActionRm"), repeated: false },
        Field { number: 8, name: "symlink", kind: Kind::Message("FileActionSymlink"), repeated: false },
    ] },
    Message { name: "FileActionCopy", fields: &[
        Field { number: 1, name: "src", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "dest", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "owner", kind: Kind::Message("ChownOpt"), repeated: false },
        Field { number: 4, name: "mode", kind: Kind::Int32, repeated: false },
        Field { number: 5, name: "followSymlink", kind: Kind::Bool, repeated: false },
        Field { number: 6, name: "dirCopyContents", kind: Kind::Bool, repeated: false },
        Field { number: 7, name: "attemptUnpackDockerCompatibility", kind: Kind::Bool, repeated: false },
        Field { number: 8, name: "createDestPath", kind: Kind::Bool, repeated: false },
        Field { number: 9, name: "allowWildcard", kind: Kind::Bool, repeated: false },
        Field { number: 10, name: "allowEmptyWildcard", kind: Kind::Bool, repeated: false },
        Field { number: 11, name: "timestamp", kind: Kind::Int64, repeated: false },
        Field { number: 12, name: "includePatterns", kind: Kind::Text, repeated: true },
        Field { number: 13, name: "excludePatterns", kind: Kind::Text, repeated: true },
        Field { number: 14, name: "alwaysReplaceExistingDestPaths", kind: Kind::Bool, repeated: false },
        Field { number: 15, name: "modeStr", kind: Kind::Text, repeated: false },
        Field { number: 16, name: "requiredPaths", kind: Kind::Text, repeated: true },
    ] },
    Message { name: "FileActionMkFile", fields: &[
        Field { number: 1, name: "path", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "mode", kind: Kind::Int32, repeated: false },
        Field { number: 3, name: "data", kind: Kind::Bytes, repeated: false },
        Field { number: 4, name: "owner", kind: Kind::Message("ChownOpt"), repeated: false },
        Field { number: 5, name: "timestamp", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "FileActionMkDir", fields: &[
        Field { number: 1, name: "path", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "mode", kind: Kind::Int32, repeated: false },
        Field { number: 3, name: "makeParents", kind: Kind::Bool, repeated: false },
        Field { number: 4, name: "owner", kind: Kind::Message("ChownOpt"), repeated: false },
        Field { number: 5, name: "timestamp", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "FileActionRm", fields: &[
        Field { number: 1, name: "path", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "allowNotFound", kind: Kind::Bool, repeated: false },
        Field { number: 3, name: "allowWildcard", kind: Kind::Bool, repeated: false },
    ] },
    Message { name: "FileActionSymlink", fields: &[
        Field { number: 1, name: "oldpath", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "newpath", kind: Kind::Text, repeated: false },
        Field { number: 3, name: "owner", kind: Kind::Message("ChownOpt"), repeated: false },
        Field { number: 4, name: "timestamp", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "ChownOpt", fields: &[
        Field { number: 1, name: "user", kind: Kind::Message("UserOpt"), repeated: false },
        Field { number: 2, name: "group", kind: Kind::Message("UserOpt"), repeated: false },
    ] },
    Message { name: "UserOpt", fields: &[
        Field { number: 1, name: "byName", kind: Kind::Message("NamedUserOpt"), repeated: false },
        Field { number: 2, name: "byID", kind: Kind::Uint32, repeated: false },
    ] },
    Message { name: "NamedUserOpt", fields: &[
        Field { number: 1, name: "name", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "input", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "BuildOp", fields: &[
        Field { number: 1, name: "builder", kind: Kind::Int64, repeated: false },
        Field { number: 2, name: "inputs", kind: Kind::Map("BuildOp.InputsEntry"), repeated: true },
        Field { number: 3, name: "def", kind: Kind::Message("Definition"), repeated: false },
        Field { number: 4, name: "attrs", kind: Kind::Map("BuildOp.AttrsEntry"), repeated: true },
    ] },
    Message { name: "BuildOp.InputsEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Message("BuildInput"), repeated: false },
    ] },
    Message { name: "BuildOp.AttrsEntry", fields: &[
        Field { number: 1, name: "key", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "value", kind: Kind::Text, repeated: false },
    ] },
    Message { name: "BuildInput", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "MergeOp", fields: &[
        Field { number: 1, name: "inputs", kind: Kind::Message("MergeInput"), repeated: true },
    ] },
    Message { name: "MergeInput", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "DiffOp", fields: &[
        Field { number: 1, name: "lower", kind: Kind::Message("LowerDiffInput"), repeated: false },
        Field { number: 2, name: "upper", kind: Kind::Message("UpperDiffInput"), repeated: false },
    ] },
    Message { name: "LowerDiffInput", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "UpperDiffInput", fields: &[
        Field { number: 1, name: "input", kind: Kind::Int64, repeated: false },
    ] },
    Message { name: "PassthroughOp", fields: &[
        Field { number: 1, name: "id", kind: Kind::Text, repeated: false },
        Field { number: 2, name: "outputs", kind: Kind::Int64, repeated: true },
    ] },
];
