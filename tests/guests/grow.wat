;; world: info
;; Takes memory until it is refused, then gives up the way an allocator does.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func $allocate
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
    unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) (call $allocate) unreachable))
