;; world: info
;; Recurses for ever: the stack limit must end it without touching the host's stack.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func $deeper (call $deeper) (call $deeper))
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) (call $deeper) unreachable))
