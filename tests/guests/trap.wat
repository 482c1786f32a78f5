;; world: info
;; Traps two calls deep: the fault must name the functions.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func $parse_answer unreachable)
  (func $ship (call $parse_answer))
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) (call $ship) unreachable))
