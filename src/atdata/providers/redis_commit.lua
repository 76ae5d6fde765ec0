-- One commit: all checks first, then all writes, so that it is taken whole or not at all.
--
-- KEYS[1]  the prefix's own key, a hash with `layout`, `seq` and `doc`
-- ARGV     the prefix, the layout, a text that no other commit has; then, for each step:
--   action, kind, member (name NUL tag), name, expect ('' for none)
--   and for 'put': body, refs (JSON), text (JSON or ''), the line of terms ('' without text),
--   how many digests of refs, and each of them
--
-- Gives {'ok', seq}, {'conflict', number of the step from 0, found} or {'layout', found}. A commit
-- that is sent again, because its answer was lost, is known by its text and not made twice.

local meta, prefix, layout, done = KEYS[1], ARGV[1], ARGV[2], ARGV[1] .. 'done:' .. ARGV[3]
local REMEMBERED = 600 -- seconds
local there_layout = redis.call('HGET', meta, 'layout')
if not there_layout then
  redis.call('HSET', meta, 'layout', layout, 'seq', 0, 'doc', 0)
elseif there_layout ~= layout then
  return {'layout', there_layout}
end

local made = redis.call('GET', done)
if made then
  return {'ok', tonumber(made)}
end

local steps, at = {}, 4
while at <= #ARGV do
  local step = {
    action = ARGV[at], kind = ARGV[at + 1], member = ARGV[at + 2], name = ARGV[at + 3],
    expect = ARGV[at + 4],
  }
  at = at + 5
  step.row = prefix .. 'row:' .. step.kind .. '\0' .. step.member
  if step.action == 'put' then
    step.body, step.refs, step.text, step.line = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local n = tonumber(ARGV[at + 4])
    step.digests = {}
    for i = 1, n do
      step.digests[i] = ARGV[at + 4 + i]
    end
    at = at + 5 + n
  end
  local found = redis.call('HMGET', step.row, 'seq', 'doc', 'digests')
  step.seq, step.doc, step.old_digests = found[1], found[2], found[3]
  if step.expect ~= '' and tonumber(step.expect) ~= tonumber(step.seq or 0) then
    return {'conflict', #steps, tonumber(step.seq or 0)}
  end
  steps[#steps + 1] = step
end

local function drop_word(term, doc)
  local key = prefix .. 'word:' .. term
  redis.call('ZREM', key, doc)
  if redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', prefix .. 'words', term)
  end
end

local function forget(step)
  for digest in string.gmatch(step.old_digests or '', '%x+') do
    redis.call('ZREM', prefix .. 'ref:' .. digest .. ':' .. step.kind, step.member)
    redis.call('ZREM', prefix .. 'refdocs:' .. digest, step.doc)
  end
  local line = redis.call('HGET', prefix .. 'lines', step.doc)
  if line then
    for term in string.gmatch(line, '%S+') do
      drop_word(term, step.doc)
    end
    redis.call('HDEL', prefix .. 'lines', step.doc)
    redis.call('ZREM', prefix .. 'docs', step.doc)
    redis.call('ZREM', prefix .. 'name:' .. step.name, step.doc)
  end
end

local function put(step, seq)
  local doc = step.doc
  local fields = {
    'seq', seq, 'doc', doc, 'body', step.body, 'refs', step.refs,
    'digests', table.concat(step.digests, ' '),
  }
  redis.call('DEL', step.row)
  redis.call('HSET', step.row, unpack(fields))
  redis.call('ZADD', prefix .. 'kind:' .. step.kind, 0, step.member)
  redis.call('HSET', prefix .. 'rows', doc, step.row)
  for _, digest in ipairs(step.digests) do
    redis.call('ZADD', prefix .. 'ref:' .. digest .. ':' .. step.kind, 0, step.member)
    redis.call('ZADD', prefix .. 'refdocs:' .. digest, doc, doc)
  end
  if step.text ~= '' then
    redis.call('HSET', step.row, 'text', step.text)
    redis.call('HSET', prefix .. 'lines', doc, step.line)
    redis.call('ZADD', prefix .. 'docs', doc, doc)
    redis.call('ZADD', prefix .. 'name:' .. step.name, doc, doc)
    for term in string.gmatch(step.line, '%S+') do
      redis.call('ZADD', prefix .. 'word:' .. term, doc, doc)
      redis.call('ZADD', prefix .. 'words', 0, term)
    end
  end
end

local seq = redis.call('HINCRBY', meta, 'seq', 1)
for _, step in ipairs(steps) do
  if step.action == 'put' then
    if step.doc then
      forget(step)
    else
      step.doc = redis.call('HINCRBY', meta, 'doc', 1)
    end
    put(step, seq)
  elseif step.action == 'delete' and step.doc then
    forget(step)
    redis.call('DEL', step.row)
    redis.call('ZREM', prefix .. 'kind:' .. step.kind, step.member)
    redis.call('HDEL', prefix .. 'rows', step.doc)
  end
end
redis.call('SET', done, seq, 'EX', REMEMBERED)
return {'ok', seq}
