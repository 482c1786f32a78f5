;; world: info
;; Never returns: the processor budget must end it.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func $spin (loop (br 0)))
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) (call $spin) unreachable))
