;; world: info
;; Never gets through its start: it must not load.
(module
  (memory (export "memory") 1)
  (func $begin (loop $again (br $again)))
  (start $begin)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) unreachable))
