//! The rules, one file each: its documentation, its [`Rule`], one function, its tests.

mod add_for_files;
mod apt_command;
mod apt_recommends;
mod cd_in_run;
mod consistent_instruction_casing;
mod copy_ignored_file;
mod duplicate_stage_name;
mod expose_invalid_format;
mod expose_proto_casing;
mod from_as_casing;
mod from_platform_flag_const_disallowed;
mod install_prompts;
mod invalid_base_image_platform;
mod invalid_default_arg_in_from;
mod invalid_definition_description;
mod json_args_recommended;
mod legacy_key_value_format;
mod maintainer_deprecated;
mod multiple_instructions_disallowed;
mod no_empty_continuation;
mod package_cache_left;
mod pipe_without_pipefail;
mod redundant_target_platform;
mod reserved_stage_name;
mod root_user;
mod secrets_used_in_arg_or_env;
mod stage_name_casing;
mod sudo_in_run;
mod undefined_arg_in_from;
mod undefined_var;
mod unpinned_base_image;
mod unpinned_package;
mod workdir_relative_path;

use super::Rule;

/// Every rule. Where several look at the same instruction, this is the order of their findings.
pub static RULES: &[&Rule] = &[
    &stage_name_casing::RULE,
    &from_as_casing::RULE,
    &no_empty_continuation::RULE,
    &consistent_instruction_casing::RULE,
    &reserved_stage_name::RULE,
    &duplicate_stage_name::RULE,
    &json_args_recommended::RULE,
    &maintainer_deprecated::RULE,
    &undefined_arg_in_from::RULE,
    &workdir_relative_path::RULE,
    &undefined_var::RULE,
    &multiple_instructions_disallowed::RULE,
    &legacy_key_value_format::RULE,
    &invalid_base_image_platform::RULE,
    &redundant_target_platform::RULE,
    &secrets_used_in_arg_or_env::RULE,
    &invalid_default_arg_in_from::RULE,
    &from_platform_flag_const_disallowed::RULE,
    &copy_ignored_file::RULE,
    &invalid_definition_description::RULE,
    &expose_proto_casing::RULE,
    &expose_invalid_format::RULE,
    // Those that must be asked for.
    &unpinned_base_image::RULE,
    &root_user::RULE,
    &add_for_files::RULE,
    &unpinned_package::RULE,
    &package_cache_left::RULE,
    &install_prompts::RULE,
    &apt_recommends::RULE,
    &apt_command::RULE,
    &cd_in_run::RULE,
    &sudo_in_run::RULE,
    &pipe_without_pipefail::RULE,
];
