"""Names that torch modules and Python reserve, and that layers therefore cannot have."""

from __future__ import annotations

import keyword

_OF_MODULES = """
T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
_forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
_get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
_load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
_non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook _register_state_dict_hook
_replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
_wrapped_call_impl add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches
eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
state_dict to to_empty train training type xpu zero_grad
"""
_OF_NETWORKS = """
_boxed_call _code _create_node_hooks _deepcopy_hooks _deepcopy_init _erase_node_hooks _graph _lineno_map
_prologue_start _recompile_submodules _register_create_node_hook _register_deepcopy_hook _register_erase_node_hook
_register_replace_node_hook _replace_hooks _set_replace_hook _tracer_cls _tracer_extras _unregister_create_node_hook
_unregister_deepcopy_hook _unregister_erase_node_hook _unregister_replace_node_hook _wrapped_call add_submodule code
delete_all_unused_submodules delete_submodule graph meta print_readable recompile shape_env to_folder
"""
#: Attributes of torch.nn.Module; every block and section is one. torch adds some now and then, which a test notices.
MODULE_ATTRIBUTES = frozenset(_OF_MODULES.split())
#: Further attributes of torch.fx.GraphModule, which the network as a whole is.
NETWORK_ATTRIBUTES = frozenset(_OF_NETWORKS.split())


def why_no_layer(name: str, *, nested: bool) -> str:
    """Why a layer, block or section cannot have this name; empty if it can.

    nested: whether it lies in a block or section, and not at the top of the network.
    """
    if name in MODULE_ATTRIBUTES or (name in NETWORK_ATTRIBUTES and not nested):
        return "torch modules have an attribute of that name"
    return _why_no_attribute(name) if nested else why_no_input(name)


def why_no_input(name: str) -> str:
    """Why an input of the network cannot have this name; empty if it can."""
    # An input is an argument of `forward`, as is `self`; no layer at the top can have the name of either.
    return "the code of a torch module needs it" if name == "self" else _why_no_attribute(name)


def _why_no_attribute(name: str) -> str:
    # Python's own names, and those that torch.compile sets on modules while it runs.
    if keyword.iskeyword(name) or name.startswith("__"):
        return "Python keeps it for itself"
    return ""
